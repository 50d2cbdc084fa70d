"""Names of people, companies and goods, English and Chinese mixed as in a Taipei office."""

from random import Random

_FAMILY = "陳林黃張李王吳劉蔡楊許鄭謝郭洪邱曾廖賴徐"
_GIVEN = (
    "怡君",
    "志明",
    "雅婷",
    "家豪",
    "淑芬",
    "俊傑",
    "美玲",
    "建宏",
    "佩珊",
    "冠宇",
    "心怡",
    "宗翰",
    "詩涵",
    "柏翰",
    "欣怡",
    "承恩",
    "宜蓁",
    "彥廷",
    "郁婷",
    "子軒",
)
_FIRST = (
    "Ada",
    "Ben",
    "Carla",
    "Dmitri",
    "Elena",
    "Femi",
    "Grace",
    "Hiro",
    "Ines",
    "Jonas",
    "Kavya",
    "Liam",
    "Maya",
    "Noor",
    "Oscar",
    "Priya",
    "Quinn",
    "Rosa",
    "Sven",
    "Tara",
    "Umar",
    "Vera",
    "Wes",
    "Yuki",
    "Zoe",
)
_LAST = (
    "Abbott",
    "Brandt",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Gupta",
    "Haddad",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lopez",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quigley",
    "Rossi",
    "Silva",
    "Tanaka",
    "Ueda",
    "Vogel",
    "Walsh",
    "Young",
    "Zhang",
)
_HOUSE = (
    "Acorn",
    "Beacon",
    "Cobalt",
    "Dandelion",
    "Ember",
    "Foxglove",
    "Galleon",
    "Harbour",
    "Ivory",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Magpie",
    "Nimbus",
    "Orchard",
    "Pepper",
    "Quartz",
    "Raven",
    "Saffron",
    "Tumble",
    "Umbra",
    "Velvet",
    "Willow",
    "Yarrow",
    "Zephyr",
)
_TRADE = (
    "Toys",
    "Playrooms",
    "Department Stores",
    "Kids",
    "Gifts",
    "Schools",
    "Museums",
    "Trading",
    "& Sons",
    "Online",
)
_HOUSE_ZH = (
    "台北",
    "府城",
    "高雄",
    "新竹",
    "花蓮",
    "宜蘭",
    "鹿港",
    "淡水",
    "大安",
    "信義",
    "北投",
    "左營",
    "安平",
    "竹北",
)
_TRADE_ZH = ("玩具", "百貨", "文創", "禮品", "幼教", "書店", "貿易", "生活館", "童裝", "樂園")
_GOODS = (
    "Porcelain line",
    "Puppet theatre",
    "Rag dolls",
    "Starter set",
    "Collector's box",
    "布偶系列",
    "開學檔期",
    "週年慶專案",
    "Display units",
    "Museum edition",
    "春節禮盒",
    "Travel dolls",
)
TEAMS = (
    "Taipei",
    "高雄",
    "Enterprise",
    "台中",
    "Overseas",
    "Online",
    "新竹",
    "Retail",
    "Schools",
    "台南",
)


def person(random: Random) -> str:
    """A name, in three of five cases a Chinese one."""
    if random.random() < 0.6:
        return random.choice(_FAMILY) + random.choice(_GIVEN)
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"


def business(random: Random) -> str:
    """A name of a customer."""
    if random.random() < 0.4:
        return random.choice(_HOUSE_ZH) + random.choice(_HOUSE_ZH)[0] + random.choice(_TRADE_ZH)
    return f"{random.choice(_HOUSE)} {random.choice(_HOUSE)} {random.choice(_TRADE)}"


def goods(random: Random) -> str:
    """What a deal is about."""
    return random.choice(_GOODS)


def team(index: int) -> str:
    """The name of the team with that number: `Taipei`, `高雄`, …, `Taipei 2`."""
    round_, place = divmod(index, len(TEAMS))
    return TEAMS[place] if round_ == 0 else f"{TEAMS[place]} {round_ + 1}"
