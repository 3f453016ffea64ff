"""Other threads of Python go on while a call waits."""

import asyncio
import concurrent.futures
import threading
import time

import domstats

STUCK = "test:///default?hang=vm1"


def test_the_interpreter_works_while_a_call_waits():
    connection = domstats.open(STUCK)
    steps = []
    ended = threading.Event()

    def work():
        while not ended.is_set():
            steps.append(time.monotonic())
            time.sleep(0.001)

    worker = threading.Thread(target=work)
    worker.start()
    for call in (connection.stats, connection.getAllDomainStats):
        start = time.monotonic()
        call(timeout=0.5)
        end = time.monotonic()
        assert end - start > 0.2, "the call waited for the stuck domain"
        during = [step for step in steps if start + 0.05 < step < end - 0.05]
        assert len(during) > 3, "the other thread stood still"
    ended.set()
    worker.join()


def test_a_coroutine_waits_in_a_thread():
    async def main():
        connection = domstats.open(STUCK)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.005)

        ticking = asyncio.create_task(tick())
        reports = await asyncio.gather(
            *(asyncio.to_thread(connection.stats, "state", timeout=0.3) for _ in range(3))
        )
        ticking.cancel()
        assert ticks > 3, "the loop stood still"
        assert all(report.domains[0].missing[0].reason == "timeout" for report in reports)

    asyncio.run(main())


def test_threads_share_a_connection_and_a_report():
    connection = domstats.open("test:///default?clock=fixed&domains=50")
    report = connection.stats()

    def ask(_):
        flat = [stats for _, stats in connection.getAllDomainStats()]
        return flat, connection.stats().domains, report.domains

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ask, range(40)))
    flat, domains, _ = results[0]
    assert all(result == (flat, domains, domains) for result in results)


def test_closing_ends_no_call_of_another_thread():
    for call in ("stats", "getAllDomainStats"):
        connection = domstats.open(STUCK)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(getattr(connection, call), timeout=2)
            time.sleep(0.5)
            connection.close()
            answer = waiting.result()
        assert len(answer if call == "getAllDomainStats" else answer.domains) == 4
