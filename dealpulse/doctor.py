"""The doctor: looks at configuration, Kafka, Redis, clock and exporter, and tells the fix of each fault.

Every check asks the servers as they are; nothing is changed.
"""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal

import redis
from aiokafka import codec
from kafka.admin import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError, KafkaError
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from aggregators.meaning import Meaning
from dealpulse.config import Configuration, mask_address
from dealpulse.keys import variable_of
from events.adapters.settings import Adapter, HookSettings, TopicSettings, connect_topics
from events.clock import Clock
from events.errors import ConfigurationError, UnreachableError
from events.listen import host_and_port
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams.connection import connected
from streams.placing import Placing
from streams.settings import RedisSettings
from streams.store import Store
from streams.topics import DeniedError, Topic, ids, needed, topics

State = Literal["ok", "warning", "failed", "unreachable", "skipped"]

_NAMED = 5
"""How many of several are named."""
REACH_SECONDS = 3.0
"""How long a server may take to answer the first request."""
OLDEST_REDIS = (6, 2)
"""The oldest Redis that the tests ran on."""
SKEW_WARNING_MS = 500
SKEW_FAILED_MS = 5_000
"""Freshness is told in seconds: five wrong ones make every figure look late, or true too early."""


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and what to do where it is not well."""

    name: str
    state: State
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """The keys that `--json` prints."""
        return asdict(self)


def checks(configuration: Configuration, clock: Clock) -> Iterator[Check]:
    """Every check, one by one as it is made. `clock` is the real one."""
    settings = configuration.settings
    origin = configuration.file or "the built-in defaults"
    given = len(configuration.origins)
    yield Check("configuration", "ok", f"{origin}, {given} setting{'' if given == 1 else 's'} given")
    yield from _meaning(settings.meaning)
    yield from _adapters(settings.adapters)
    yield _codecs()
    yield from _kafka(settings.kafka, settings.worker.group, needed(connect_topics(settings.adapters)))
    yield from _redis(settings.redis, clock)
    yield from _shards(settings.kafka, settings.redis)
    yield from _pending_entities(settings.redis, settings.kafka.partitions)
    yield from _exporter(settings.exporter.public_url, settings.exporter.listen)


def exit_code(found: list[Check]) -> int:
    """3 where a server does not answer, 1 where a check failed, else 0; a warning is no failure."""
    states = {check.state for check in found}
    if "unreachable" in states:
        return 3
    return 1 if "failed" in states else 0


def _meaning(meaning: Meaning) -> Iterator[Check]:
    for name, pipeline in meaning.pipelines.items():
        kinds = {stage.kind for stage in pipeline.stages}
        lacking = [kind for kind in ("open", "won", "lost") if kind not in kinds]
        if lacking:
            yield Check(
                f"pipeline {name}",
                "failed",
                f"no stage of kind {' and '.join(lacking)}: its deals can never get there",
                f"give one of pipelines.{name}.stages kind = {lacking[0]!r}",
            )
        elif not any(stage.stalled_after_days for stage in pipeline.stages):
            yield Check(
                f"pipeline {name}",
                "warning",
                "no stage has stalled_after_days: no deal ever counts as stalled",
                f"set stalled_after_days in pipelines.{name}.stages",
            )
        else:
            yield Check(f"pipeline {name}", "ok", f"{len(pipeline.stages)} stages")


def _adapters(adapters: Mapping[str, Adapter]) -> Iterator[Check]:
    for name, adapter in adapters.items():
        variable = variable_of(("adapters", name, "secret"))
        if isinstance(adapter, HookSettings) and not adapter.secret.get_secret_value():
            yield Check(
                f"adapter {name}",
                "failed",
                f"{adapter.kind} without a secret: the gateway does not start",
                f"give {variable} or {variable}_FILE",
            )
        elif isinstance(adapter, TopicSettings) and not adapter.topics:
            yield Check(
                f"adapter {name}",
                "failed",
                f"{adapter.kind} without topics: no worker translates anything of it",
                f"list its Kafka Connect topics in adapters.{name}.topics",
            )
        else:
            yield Check(f"adapter {name}", "ok", adapter.kind)


def _codecs() -> Check:
    present = {
        "gzip": codec.has_gzip(),
        "lz4": codec.has_lz4(),
        "snappy": codec.has_snappy(),
        "zstd": codec.has_zstd(),
    }
    missing = [name for name, there in present.items() if not there]
    if missing:
        return Check(
            "codecs",
            "failed",
            f"records compressed with {', '.join(missing)} cannot be read",
            "pip install 'aiokafka[lz4,snappy,zstd]'",
        )
    return Check("codecs", "ok", ", ".join(present))


def _kafka(settings: KafkaSettings, group: str, names: Sequence[str]) -> Iterator[Check]:
    answering = [address for address in settings.bootstrap_servers if _connects(*host_and_port(address))]
    silent = [address for address in settings.bootstrap_servers if address not in answering]
    if not answering:
        yield Check(
            "kafka",
            "unreachable",
            f"nothing answers at {settings.brokers}",
            "start Kafka, or correct kafka.brokers (DEALPULSE_KAFKA__BROKERS)",
        )
        return
    try:
        admin = KafkaAdminClient(
            **settings.kafka_python(), request_timeout_ms=10_000, bootstrap_timeout_ms=10_000
        )
        with closing(admin):
            cluster = admin.describe_cluster()
            brokers = len(cluster["brokers"])
            yield Check(
                "kafka",
                "warning" if silent else "ok",
                f"{brokers} broker{'s' if brokers > 1 else ''} at {settings.brokers}"
                + (f"; no answer from {', '.join(silent)}" if silent else ""),
                "start these brokers, or take them out of kafka.brokers" if silent else "",
            )
            yield from _topics(admin, settings, brokers, names)
            yield _workers(admin, group)
    except ConfigurationError as error:
        yield Check("kafka", "failed", str(error), "correct the section [kafka]")
    except (KafkaError, UnreachableError, OSError) as error:
        yield Check(
            "kafka",
            "unreachable",
            f"{settings.brokers} lets connect and then does not do: {error or type(error).__name__}",
            "compare kafka.security_protocol, sasl_… and ssl_… with the broker's listener",
        )


def _topics(admin: Any, settings: KafkaSettings, brokers: int, names: Sequence[str]) -> Iterator[Check]:
    try:
        found = topics(settings, names)
    except DeniedError as error:
        yield Check("topics", "failed", str(error), "see docs/operate.md, What each user may do")
        return
    present = [topic.name for topic in found if topic.partitions]
    described = admin.describe_topics(present) if present else []
    replicas = {topic["name"]: topic["partitions"] for topic in described}
    for topic in found:
        yield _topic(topic, replicas.get(topic.name, []), settings, brokers)


def _topic(topic: Topic, replicas: list[Any], settings: KafkaSettings, brokers: int) -> Check:
    name = f"topic {topic.name}"
    if not topic.partitions:
        return Check(name, "failed", "there is none", "dealpulse topics ensure")
    faults, fixes = list(topic.faults), []
    if faults:
        fixes.append("allow it" if topic.is_secret else "dealpulse topics ensure")
    if topic.partitions != settings.partitions and topic.name in TOPICS:
        faults.insert(0, f"{topic.partitions} partitions, configured are {settings.partitions}")
        fixes.insert(
            0, f"set kafka.partitions = {topic.partitions}, or move the records: dealpulse repartition"
        )
    if faults:
        return Check(name, "failed", "; ".join(faults), "; ".join(fixes))
    offline = [
        each["partition_index"] for each in replicas if each["offline_replicas"] or not each["isr_nodes"]
    ]
    if offline:
        return Check(name, "failed", f"replicas are offline in partitions {offline}", "look at the brokers")
    copies = min((len(each["replica_nodes"]) for each in replicas), default=1)
    found = f"{topic.partitions} partitions, {copies} cop{'ies' if copies > 1 else 'y'}, kept for good"
    if copies == 1 and brokers > 1 and topic.name in TOPICS:
        return Check(name, "warning", found, "the log is the truth: raise its replication factor to 3")
    return Check(name, "ok", found)


def _workers(admin: Any, group: str) -> Check:
    name = f"workers, group {group}"
    try:
        described = admin.describe_groups([group])[group]
        members = len(described["members"])
    except GroupAuthorizationFailedError:
        return Check(name, "skipped", "this user may not see it", f"allow it Describe on group {group}")
    except (KafkaError, KeyError, LookupError, ValueError, TypeError):
        # A broker without that group, or an embedded one that words the answer in its own way.
        return Check(name, "skipped", "this broker does not tell who has joined it")
    if not members:
        return Check(name, "warning", "no worker is running", "dealpulse worker")
    return Check(name, "ok", f"{members} running, {str(described['group_state']).lower()}")


def _redis(settings: RedisSettings, clock: Clock) -> Iterator[Check]:
    address = mask_address(settings.url)
    try:
        with closing(_redis_client(settings)) as client:
            before = clock.unix_ms()
            seconds, microseconds = client.time()
            after = clock.unix_ms()
            about = _about(client)
    except redis.AuthenticationError as error:
        yield Check(
            "redis", "failed", f"{address}: {error}", "give redis.password (DEALPULSE_REDIS__PASSWORD)"
        )
        return
    except redis.exceptions.NoPermissionError as error:
        yield Check(
            "redis", "failed", f"{address}: {error}", "allow it to the user of redis.url (ACL SETUSER)"
        )
        return
    except (redis.RedisError, OSError) as error:
        yield Check(
            "redis",
            "unreachable",
            f"{address}: {error}",
            "start Redis, or correct redis.url (DEALPULSE_REDIS__URL)",
        )
        return
    if about is None:
        yield Check(
            "redis",
            "warning",
            f"{address} answers; its version, persistence and eviction may not be seen by this user",
            "ACL SETUSER <user> +info",
        )
    else:
        yield _redis_version(address, str(about.get("redis_version", "0")))
        yield _persistence(about)
        yield _eviction(about)
    yield _skew(seconds * 1_000 + microseconds // 1_000 - (before + after) // 2)


def _shards(kafka: KafkaSettings, settings: RedisSettings) -> Iterator[Check]:
    """Whether the shards are of these very topics, keys placed as configured; nothing if that cannot be asked now."""

    async def placings() -> dict[str, list[Placing]]:
        store = Store(settings)
        try:
            return {topic: await store.placings(topic, kafka.partitions) for topic in TOPICS}
        finally:
            await store.close()

    try:
        found, topic_ids = asyncio.run(placings()), ids(kafka)
    except UnreachableError:
        return  # the checks of Kafka and Redis have said so
    others = [
        f"{topic}/{number}"
        for topic, shards in found.items()
        for number, held in enumerate(shards)
        if held.topic_id and topic_ids.get(topic, held.topic_id) != held.topic_id
    ]
    if others:
        yield Check(
            "topics of the shards",
            "failed",
            f"folded from other topics of the same names, made anew since, or another Kafka's: {_some(others)}",
            "correct kafka.brokers or redis.prefix; if it was meant: dealpulse rebuild --all --yes",
        )
    other = {held.partitioner for shards in found.values() for held in shards} - {"", kafka.partitioner}
    if other:
        (partitioner,) = other
        yield Check(
            "partitioner of the shards",
            "failed",
            f"shards were folded with {partitioner}, configured is {kafka.partitioner}",
            f"set kafka.partitioner = {partitioner} again, or move the records: dealpulse repartition --yes",
        )
    if not others and not other:
        yield Check("shards in redis", "ok", "of these topics, and keys placed as configured")


def _about(client: "redis.Redis") -> Mapping[str, Any] | None:
    """What Redis tells about itself; None if this user may not ask, as without `@dangerous`."""
    try:
        about: Mapping[str, Any] = client.info()
    except redis.exceptions.NoPermissionError:
        return None
    return about


def _pending_entities(settings: RedisSettings, partitions: int) -> Iterator[Check]:
    """Which entities wait for a full statement, by their ids; nothing if that cannot be asked now."""
    shards = [f"{topic}/{number}" for topic in TOPICS for number in range(partitions)]
    try:
        with closing(_redis_client(settings)) as client:
            asking = client.pipeline(transaction=False)
            for shard in shards:
                asking.hget(f"{settings.prefix}:{{{shard}}}:meta", "resync_subjects")
            told = asking.execute()
    except (redis.RedisError, OSError):
        return  # the check of Redis has said so
    found = [
        f"{shard.rpartition('/')[0]} {subject} of {source}"
        for shard, lines in zip(shards, told, strict=True)
        # Not by `splitlines`: names may hold what Unicode counts as the end of a line.
        for source, _, subject in (
            line.partition("\t") for line in (lines or b"").decode().split("\n") if line
        )
    ]
    if found:
        yield Check(
            "pending entities",
            "warning",
            f"their source skipped something: {_some(sorted(found))}",
            "send them in full, or import an export of that system; * is all of a source on its topic",
        )
    else:
        yield Check("pending entities", "ok", "no entity waits for a full statement")


def _redis_client(settings: RedisSettings) -> "redis.Redis":
    client: redis.Redis = connected(
        redis.Redis.from_url, settings, connect_s=REACH_SECONDS, request_s=REACH_SECONDS
    )
    return client


def _redis_version(address: str, version: str) -> Check:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        return Check("redis", "failed", f"{address} is Redis {version}", f"run Redis {oldest} or newer")
    return Check("redis", "ok", f"Redis {version} at {address}")


def _persistence(about: Mapping[str, Any]) -> Check:
    name = "redis persistence"
    if about.get("aof_enabled"):
        if about.get("aof_last_write_status", "ok") != "ok":
            return Check(
                name, "failed", "the append-only file cannot be written", "look at Redis' disk and log"
            )
        return Check(name, "ok", "append-only file")
    if about.get("rdb_last_bgsave_status", "ok") != "ok":
        return Check(name, "failed", "the last snapshot failed", "look at Redis' disk and log")
    return Check(
        name,
        "warning",
        "no append-only file: after a loss of Redis the shards are written again, or rebuilt from the log",
        "set appendonly yes where a rebuild would take too long",
    )


def _eviction(about: Mapping[str, Any]) -> Check:
    name, policy = "redis eviction", str(about.get("maxmemory_policy", "noeviction"))
    limit, used = int(about.get("maxmemory", 0)), int(about.get("used_memory", 0))
    if limit and policy != "noeviction":
        return Check(name, "failed", f"policy {policy} throws shards away", "set maxmemory-policy noeviction")
    if limit and used > 0.8 * limit:
        return Check(
            name,
            "warning",
            f"{used * 100 // limit} % of maxmemory is used",
            "raise maxmemory: checkpoints fail at 100 %",
        )
    return Check(
        name, "ok", f"{policy}, {used // 2**20} MiB used" + (f" of {limit // 2**20}" if limit else "")
    )


def _skew(skew_ms: int) -> Check:
    found = f"this host is {abs(skew_ms)} ms {'behind' if skew_ms > 0 else 'ahead of'} Redis"
    fix = "run an NTP client on both hosts"
    if abs(skew_ms) > SKEW_FAILED_MS:
        return Check("clock", "failed", found, fix)
    if abs(skew_ms) > SKEW_WARNING_MS:
        return Check("clock", "warning", found, fix)
    return Check("clock", "ok", found)


def _exporter(public_url: str, listen: str) -> Iterator[Check]:
    host, port = host_and_port(listen)
    if host in ("0.0.0.0", "::"):  # noqa: S104 - "all interfaces" is asked at the loopback one
        host = "127.0.0.1" if "." in host else "[::1]"
    url = public_url.rstrip("/") or f"http://{host}:{port}"
    if not public_url and (port == 0 or not _connects(host, port)):
        yield Check("exporter", "skipped", f"none is running at {url}: its figures were not looked at")
        return
    try:
        text = _read(f"{url}/metrics")
    except (OSError, urllib.error.URLError, UnicodeDecodeError) as error:
        yield Check("exporter", "unreachable", f"{url}/metrics: {error}", "look at its log, or restart it")
        return
    yield from figures(text, _missing(url))
    try:
        aliases = json.loads(_read(f"{url}/api/shared-aliases"))
        owners = json.loads(_read(f"{url}/api/owners"))
        contracts = json.loads(_read(f"{url}/api/explain?kpi=unpriced_contracts&per_page=5&sort=record"))
    except (OSError, ValueError) as error:  # no merge yet, or a release that does not tell
        yield Check("records", "skipped", f"the exporter does not list them: {error}")
        return
    yield _aliases(aliases)
    yield _owners(owners["without_record"])
    yield _teams(owners["without_team"])
    yield _contracts(contracts["records"])


def _missing(url: str) -> list[str]:
    """The shards that the exporter lacks, each with the reason; none where it does not tell."""
    try:
        try:
            text = _read(f"{url}/readyz")
        except urllib.error.HTTPError as error:  # 503, with the same document
            text = error.read().decode()
        details = {check["name"]: check["detail"] for check in json.loads(text)["checks"]}
        told = str(details["merge"])
    except (OSError, ValueError, KeyError, TypeError):  # another release, or whatever stands before it
        return []
    return told.removeprefix("missing: ").split(", ") if told.startswith("missing: ") else []


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        found: str = answer.read().decode()
    return found


def _aliases(shared: Sequence[Mapping[str, Any]]) -> Check:
    """Ids that several employees claim: the smallest employee id wins (F36)."""
    if not shared:
        return Check("aliases", "ok", "each is of one employee")
    told = [f"{one['alias']} of {', '.join(one['employees'])} (means {one['means']})" for one in shared]
    return Check(
        "aliases",
        "warning",
        f"{len(shared)} aliases are listed by several employees: {_some(told)}",
        "take them out of employee.aliases of those who do not own them",
    )


def _owners(without_record: Mapping[str, Any]) -> Check:
    """Owners that no employee record tells of: they count as owners, and in no team, retention or ramp-up (F22)."""
    if not without_record["count"]:
        return Check("owners", "ok", "every owner of an opportunity is an employee")
    return Check(
        "owners",
        "warning",
        f"{_counted(without_record, 'owner')} of opportunities without an employee record{_named(without_record)}",
        "publish them as employees; a CRM's user id goes into employee.aliases as <source>:<id>",
    )


def _teams(without_team: Mapping[str, Any]) -> Check:
    """Employees whose open opportunities are in no team's figures."""
    if not without_team["count"]:
        return Check("teams", "ok", "every employee with an open opportunity has a team")
    return Check(
        "teams",
        "warning",
        f"{_counted(without_team, 'employee')} with open opportunities in no team{_named(without_team)}",
        "publish their team (employee.team)",
    )


def _counted(told: Mapping[str, Any], what: str) -> str:
    return f"{told['count']} {what}{'' if told['count'] == 1 else 's'}"


def _named(told: Mapping[str, Any]) -> str:
    """The first ids; none where reps must not be named (`exporter.rep_series`)."""
    if told["owners"] is None:
        return " (exporter.rep_series is off: nobody is named)"
    return f": {_some(told['owners'], told['count'])}"


def _contracts(unpriced: Mapping[str, Any]) -> Check:
    """Contracts in force that are in no amount (G4, F23), each with its reason."""
    if not unpriced["total"]:
        return Check("contracts", "ok", "every contract in force has a price")
    named = [str(one["record"]).partition("/")[2] for one in unpriced["list"]]
    more = unpriced["total"] - len(named)
    return Check(
        "contracts",
        "warning",
        f"{unpriced['total']} contracts in force have no price: {', '.join(named)}"
        + (f" and {more} more" if more else ""),
        "publish finance.fx_rate for their currency; give one with a price per term an end_date",
    )


@dataclass(frozen=True)
class _Count:
    """A metric that should be nothing, and what to do where it is not."""

    family: str
    name: str
    labels: tuple[str, ...]
    many: str
    fix: str
    state: State = "warning"
    only: frozenset[tuple[str, str]] = frozenset()
    """Labels of the samples that are added up; the others say the same of other windows, or something else."""


_COUNTS = (
    _Count(
        "dealpulse_partitions_missing",
        "shards",
        (),
        "shards are missing from the figures",
        "(absent): start workers; (fingerprint): run all workers and this exporter with one version and one "
        "configuration; (partitions): set kafka.partitions to what Kafka has; "
        "(partitioner): set kafka.partitioner to what workers have; (unreadable, statements): "
        "dealpulse rebuild --partition TOPIC/N --yes",
        "failed",
    ),
    _Count(
        "dealpulse_resync_pending",
        "resync",
        ("source", "topic"),
        "entities wait for a full statement, because their source skipped something",
        "send them in full, or import an export of that system",
    ),
    _Count(
        "dealpulse_dead_letters_pending",
        "dead letters",
        ("topic",),
        "dead letters are neither replayed nor dropped",
        "dealpulse dlq list",
    ),
    _Count(
        "dealpulse_unpriced_opportunities",
        "exchange rates",
        (),
        "open opportunities have no rate into the reporting currency",
        "publish finance.fx_rate, or set kpis.fx_pivot; "
        "dealpulse kpi --kpi unpriced_opportunities --by currency says of which currencies",
        only=frozenset({("state", "open"), ("window", "now")}),
    ),
    _Count(
        "dealpulse_verify_mismatches",
        "last verify",
        (),
        "figures differed from a recomputation of the log",
        "dealpulse verify names the shards, dealpulse rebuild --partition TOPIC/N --yes makes one anew",
        "failed",
    ),
)


def figures(exposition: str, missing: Sequence[str] = ()) -> Iterator[Check]:
    """What an exporter's metrics tell about the data; a family that it does not serve is passed over.

    `missing` are the shards that it lacks, each with the reason.
    """
    samples = {
        family.name: family.samples for family in text_string_to_metric_families(exposition) if family.samples
    }
    yield Check("exporter", "ok", f"serves {sum(map(len, samples.values()))} series")
    yield from _unknown_stages(samples)
    for count in _COUNTS:
        if count.family not in samples:
            continue
        found = [
            sample
            for sample in samples[count.family]
            if sample.value > 0 and count.only <= sample.labels.items()
        ]
        total = int(sum(sample.value for sample in found))
        if not total:
            yield Check(count.name, "ok", "nothing to do")
            continue
        places = sorted(
            {" ".join(s.labels[label] for label in count.labels if label in s.labels) for s in found} - {""}
        )
        if count.name == "shards":
            places = list(missing)
        where = f" ({_some(places)})" if places else ""
        yield Check(count.name, count.state, f"{total} {count.many}{where}", count.fix)


def _unknown_stages(samples: Mapping[str, list[Sample]]) -> Iterator[Check]:
    known = {sample.labels["stage_name"] for sample in samples.get("dealpulse_stage_order", [])}
    deals = [sample for sample in samples.get("dealpulse_open_opportunities", []) if sample.value > 0]
    unknown = sorted({sample.labels["stage_name"] for sample in deals} - known)
    if known and unknown:
        yield Check(
            "stages",
            "warning",
            f"open opportunities are in stages that the configuration does not know: {_some(unknown)}",
            "add them to their pipeline's stages",
        )
    elif known:
        yield Check("stages", "ok", "every open opportunity is in a known stage")


def _some(names: list[str], count: int | None = None) -> str:
    """The first names, and how many more there are of `count` (default: of these)."""
    count = len(names) if count is None else count
    return ", ".join(names[:_NAMED]) + (f" and {count - _NAMED} more" if count > _NAMED else "")


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=REACH_SECONDS):
            return True
    except OSError:
        return False
