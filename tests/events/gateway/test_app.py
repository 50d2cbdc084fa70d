import asyncio
import base64
import gzip
import hashlib
import hmac
import json
from typing import Any

import pytest

from events.gateway.app import Gateway
from events.gateway.problems import PROBLEMS
from events.gateway.server import close
from events.gateway.sink import NotAcknowledgedError, TooLargeError
from events.log import captured
from tests.events.adapters.payloads import merge, pipedrive, property_change
from tests.events.gateway.standing import (
    EVENT,
    NOW_UNIX_MS,
    SECRET,
    STRUCTURED,
    hubspot_headers,
    run,
    standing,
)

DELIVERY = json.dumps([property_change("dealstage", "contractsent"), property_change("amount", "5")]).encode()


def test_a_structured_event_is_published_byte_for_byte() -> None:
    async def test() -> None:
        async with standing() as here:
            body = json.dumps(EVENT, indent=2)
            assert (await here.post("/events", body, STRUCTURED))[:2] == (200, {"published": 1})
            assert [(one.topic, one.subject, one.value) for one in here.sink.events] == [
                ("crm.opportunity", "opp-4711", body.encode())
            ]

    run(test())


def test_a_batch_and_a_binary_event_are_published() -> None:
    async def test() -> None:
        async with standing() as here:
            batch = json.dumps([EVENT, EVENT | {"id": "2", "subject": "opp-2"}])
            head = {f"ce-{name}": value for name, value in EVENT.items() if name != "data"}
            answer = await here.post(
                "/events", batch, {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
            )
            assert answer[:2] == (200, {"published": 2})
            answer = await here.post(
                "/events", json.dumps(EVENT["data"]), head | {"content-type": "application/json"}
            )
            assert answer[:2] == (200, {"published": 1})
            assert [one.subject for one in here.sink.events] == ["opp-4711", "opp-2", "opp-4711"]
            assert (await here.post("/events", "[]", {"content-type": "application/cloudevents-batch+json"}))[
                0
            ] == 204

    run(test())


def test_a_signed_webhook_is_translated_and_published() -> None:
    async def test() -> None:
        async with standing() as here:
            answer = await here.post("/hooks/hubspot/acme", DELIVERY, hubspot_headers(DELIVERY))
            assert answer[:2] == (200, {"published": 2})
            assert here.sink.events[0].event["data"] == {"stage": "Negotiation"}
            assert await here.figure('dealpulse_gateway_published_total{source="acme"}') == 2
            assert await here.figure('dealpulse_gateway_requests_total{code="200",source="acme"}') == 1

    run(test())


def test_every_kind_of_webhook_is_checked_by_its_own_signature() -> None:
    async def test() -> None:
        async with standing() as here:
            deal = {"id": 812, "stage_id": 4, "status": "open", "update_time": "2026-03-05T02:11:09Z"}
            change = json.dumps(pipedrive("change", deal, {"stage_id": 3})).encode()
            user = base64.b64encode(b"dealpulse:new").decode()
            assert (await here.post("/hooks/pipedrive/pipe", change, {"authorization": f"Basic {user}"}))[
                0
            ] == 200
            refused = await here.post("/hooks/pipedrive/pipe", change)
            assert (refused[0], refused[2]["www-authenticate"]) == (401, "Basic")

            stamp = "2026-03-05T02:11:09Z"
            thin = json.dumps(
                {
                    "type": "employee.created",
                    "timestamp": stamp,
                    "data": {"companyId": "77", "employeeId": "1"},
                }
            ).encode()
            signature = hmac.new(SECRET.encode(), thin + stamp.encode(), hashlib.sha256).hexdigest()
            headers = {"x-bamboohr-signature": signature, "x-bamboohr-timestamp": stamp}
            assert (await here.post("/hooks/bamboohr/bamboo", thin, headers))[0] == 200
            assert await here.figure('dealpulse_adapter_gaps_total{source="bamboo"}') == 1

            hr = json.dumps(merge()).encode()
            signature = base64.urlsafe_b64encode(
                hmac.new(SECRET.encode(), hr, hashlib.sha256).digest()
            ).decode()
            assert (await here.post("/hooks/merge/merge", hr, {"x-merge-webhook-signature": signature}))[
                0
            ] == 200
            assert (
                await here.post("/hooks/merge/merge", hr + b" ", {"x-merge-webhook-signature": signature})
            )[0] == 401

    run(test())


def test_what_is_forged_expired_truncated_or_oversized_is_refused_and_counted() -> None:
    async def test() -> None:
        async with standing(max_body_bytes=10_000) as here:
            path, good = "/hooks/hubspot/acme", hubspot_headers(DELIVERY)
            forged = await here.post(path, DELIVERY, hubspot_headers(DELIVERY, secret="guess"))
            expired = await here.post(path, DELIVERY, hubspot_headers(DELIVERY, at=NOW_UNIX_MS - 300_001))
            truncated = await here.post(path, DELIVERY[:-5], good)
            signed_half = await here.post(path, DELIVERY[:-5], hubspot_headers(DELIVERY[:-5]))
            oversized = await here.post(path, DELIVERY + b" " * 10_000, good)

            assert [forged[0], expired[0], truncated[0], signed_half[0], oversized[0]] == [
                401,
                401,
                401,
                422,
                413,
            ]
            assert (forged[1]["reason"], expired[1]["reason"]) == ("signature", "expired")
            for reason, count in (("signature", 2), ("expired", 1), ("malformed", 1), ("too_large", 1)):
                series = f'dealpulse_gateway_rejected_total{{reason="{reason}",source="acme"}}'
                assert await here.figure(series) == count, reason
            assert here.sink.events == []

    run(test())


def test_problems_are_problem_details_that_say_what_to_do() -> None:
    async def test() -> None:
        async with standing() as here:
            status, problem, headers = await here.post(
                "/events", json.dumps(EVENT | {"data": {"amount": "much"}}), STRUCTURED
            )
            assert status == 422
            assert headers["content-type"].startswith("application/problem+json")
            assert problem == {
                "type": "urn:dealpulse:problem:unreadable",
                "title": "The request cannot be read as events",
                "status": 422,
                "detail": problem["detail"],
                "reason": "invalid_data",
                "path": "data.amount",
            }
            assert "much" in problem["detail"] or "amount" in problem["detail"]

    run(test())


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps(EVENT), {"content-type": "application/json"}, 415),
        (json.dumps(EVENT), {"content-type": "text/plain"}, 415),
        (json.dumps(EVENT)[:-1], STRUCTURED, 422),
        ("", STRUCTURED, 422),
        (gzip.compress(json.dumps(EVENT).encode()), STRUCTURED | {"content-encoding": "gzip"}, 415),
    ],
)
def test_what_cannot_be_read_is_refused(body: Any, headers: dict[str, str], status: int) -> None:
    async def test() -> None:
        async with standing() as here:
            assert (await here.post("/events", body, headers))[0] == status
            assert (
                await here.figure('dealpulse_gateway_rejected_total{reason="malformed",source="events"}') == 1
            )

    run(test())


def test_nothing_to_say_is_204() -> None:
    async def test() -> None:
        async with standing() as here:
            body = b'[{"subscriptionType": "contact.creation"}]'
            assert (await here.post("/hooks/hubspot/acme", body, hubspot_headers(body)))[0] == 204

    run(test())


@pytest.mark.parametrize(
    "path", ["/hooks/hubspot/other", "/hooks/pipedrive/acme", "/hooks/debezium/connect", "/nothing"]
)
def test_an_address_that_is_none_is_404(path: str) -> None:
    async def test() -> None:
        async with standing() as here:
            status, problem, _ = await here.post(path, b"{}")
            assert (status, problem["type"]) == (404, "urn:dealpulse:problem:not-found")

    run(test())


def test_events_are_posted_and_not_gotten() -> None:
    async def test() -> None:
        async with standing() as here:
            status, _, headers = await here.get("/hooks/hubspot/acme")
            assert (status, headers["allow"]) == (405, "POST")
            assert (await here.get("/events"))[0] == 405

    run(test())


def test_a_token_guards_the_canonical_way_in() -> None:
    async def test() -> None:
        async with standing(token="let-me-in") as here:
            status, _, headers = await here.post("/events", json.dumps(EVENT), STRUCTURED)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            right = STRUCTURED | {"authorization": "Bearer let-me-in"}
            assert (await here.post("/events", json.dumps(EVENT), right))[0] == 200

    run(test())


def test_a_resync_that_is_completed_names_its_topic() -> None:
    async def test() -> None:
        async with standing() as here:
            body = json.dumps(EVENT | {"type": "dealpulse.resync.completed", "subject": "*"})
            assert (await here.post("/events?topic=crm.contract", body, STRUCTURED))[0] == 200
            assert here.sink.events[0].topic == "crm.contract"
            assert (await here.post("/events?topic=elsewhere", body, STRUCTURED))[0] == 422

    run(test())


def test_kafka_away_is_503_with_retry_after() -> None:
    async def test() -> None:
        async with standing(retry_after="7s") as here:
            here.sink.fault = NotAcknowledgedError("Kafka has stopped answering")
            status, problem, headers = await here.post("/events", json.dumps(EVENT), STRUCTURED)
            assert (status, headers["retry-after"]) == (503, "7")
            assert "Send it again" in problem["detail"]
            assert (await here.get("/readyz"))[0] == 503
            assert (await here.get("/healthz"))[0] == 200

            here.sink.fault = TooLargeError("too large for the broker")
            assert (await here.post("/events", json.dumps(EVENT), STRUCTURED))[0] == 413

    run(test())


def test_too_many_requests_at_once_are_429() -> None:
    async def test() -> None:
        async with standing(max_in_flight=2) as here:
            here.sink.hold = asyncio.Event()
            waiting = [
                asyncio.create_task(here.post("/events", json.dumps(EVENT), STRUCTURED)) for _ in range(2)
            ]
            await until(lambda: here.gateway.in_flight == 2)
            status, _, headers = await here.post("/events", json.dumps(EVENT), STRUCTURED)
            assert (status, headers["retry-after"]) == (429, "1")
            here.sink.hold.set()
            assert [answer[0] for answer in await asyncio.gather(*waiting)] == [200, 200]

    run(test())


def test_closing_finishes_what_is_in_flight_and_refuses_the_rest() -> None:
    async def test() -> None:
        async with standing() as here:
            here.sink.hold = asyncio.Event()
            waiting = asyncio.create_task(here.post("/events", json.dumps(EVENT), STRUCTURED))
            await until(lambda: here.gateway.in_flight == 1)
            closing = asyncio.create_task(close(here.gateway))
            await until(lambda: here.gateway.closing)
            status, problem, headers = await here.post("/events", json.dumps(EVENT), STRUCTURED)
            assert (status, problem["type"], "retry-after" in headers) == (
                503,
                "urn:dealpulse:problem:closing",
                True,
            )
            assert not closing.done()
            here.sink.hold.set()
            assert (await waiting)[0] == 200
            await closing

    run(test())


async def raw(address: str, request: bytes) -> bytes:
    """What is answered to bytes on a socket, which is then half closed."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_a_body_that_breaks_off_is_counted_and_leaves_no_trace() -> None:
    async def test() -> None:
        async with standing() as here:
            head = b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nContent-Length: 999\r\n\r\n"
            await raw(here.address, head + json.dumps(EVENT).encode())
            await until(lambda: here.gateway.in_flight == 0)
            assert (
                await here.figure('dealpulse_gateway_rejected_total{reason="malformed",source="events"}') == 1
            )
            assert here.sink.events == []

    run(test())


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_body_that_comes_in_pieces_is_taken_as_a_whole(cut: int) -> None:
    async def test() -> None:
        async with standing() as here:
            body = json.dumps(EVENT).encode()
            host, _, port = here.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            kind = "application/cloudevents+json"
            head = f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body[:cut])
            await until(lambda: here.gateway.in_flight == 1)
            writer.write(body[cut:])
            assert b" 200 " in await reader.readline()
            assert [one.value for one in here.sink.events] == [body]
            writer.close()
            await writer.wait_closed()

    run(test())


def test_a_body_that_does_not_come_is_408() -> None:
    async def test() -> None:
        async with standing(receive_within=0.05) as here:
            host, _, port = here.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
            assert b" 408 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(test())


def test_a_chunked_body_beyond_the_limit_is_413() -> None:
    async def test() -> None:
        async with standing(max_body_bytes=2_000) as here:

            async def parts() -> Any:
                for _ in range(50):
                    yield b"x" * 100

            async with here.client.post(
                f"http://{here.address}/events", data=parts(), headers=STRUCTURED
            ) as answer:
                assert answer.status == 413

    run(test())


def test_no_log_line_holds_a_secret_a_body_or_a_signature() -> None:
    async def test() -> None:
        with captured() as lines:
            async with standing(token="let-me-in") as here:
                headers = hubspot_headers(DELIVERY)
                await here.post("/hooks/hubspot/acme", DELIVERY, headers)
                await here.post("/hooks/hubspot/acme", DELIVERY, hubspot_headers(DELIVERY, secret="guess"))
                await here.post(
                    "/events", json.dumps(EVENT), STRUCTURED | {"authorization": "Bearer wrong-token"}
                )
        said = json.dumps(lines)
        assert any(line["event"] == "request.refused" for line in lines)
        for secret in (
            SECRET,
            "guess",
            "let-me-in",
            "wrong-token",
            "contractsent",
            headers["x-hubspot-signature-v3"],
        ):
            assert secret not in said
        assert SECRET not in repr(here.gateway.hooks)

    run(test())


def test_every_known_series_is_there_from_the_start() -> None:
    async def test() -> None:
        async with standing() as here:
            _, text, headers = await here.get("/metrics")
            assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            for source in ("events", "acme", "pipe", "bamboo", "merge"):
                for code in (200, 204, 401, 413, 422, 429, 503):
                    assert f'dealpulse_gateway_requests_total{{code="{code}",source="{source}"}} 0.0' in text
                for reason in ("signature", "expired", "malformed", "too_large"):
                    assert (
                        f'dealpulse_gateway_rejected_total{{reason="{reason}",source="{source}"}} 0.0' in text
                    )
            assert "_created" not in text
            assert "dealpulse_build_info{" in text
            _, text, headers = await here.get(
                "/metrics", {"accept": "application/openmetrics-text;version=1.0.0"}
            )
            assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
            assert text.endswith("# EOF\n")
            _, text, _ = await here.get("/metrics?name[]=dealpulse_build_info")
            assert "gateway_requests" not in text
            assert (await here.get("/"))[0] == 200

    run(test())


def test_every_problem_is_documented() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    for kind, (status, _) in PROBLEMS.items():
        assert f"`{kind}`" in page
        assert str(status) in page


async def until(condition: Any) -> None:
    """Give way until something holds; the test's own deadline ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
        await asyncio.sleep(0)


def test_a_gateway_shows_no_secret_in_its_text() -> None:
    async def test() -> None:
        async with standing(token="let-me-in") as here:
            assert isinstance(here.gateway, Gateway)
            for secret in (SECRET, "let-me-in"):
                assert secret not in repr(here.gateway.settings) + repr(here.gateway.hooks)

    run(test())
