"""nginx and Python processes behind one store."""

import json
import subprocess
import sys
from pathlib import Path

from conftest import ALICE, BOB
from support.http import Client
from support.lab import Scripted, Upstream
from support.nginx import AUDIENCE
from support.process import until
from support.redis import Redis
from support.store import PATIENT, Start, Volley, all_pending, directives, gateway, status

MANY = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import credgate

options, config, authorization, count = json.loads(sys.argv[1])
credgate.configure(**options)
gate = credgate.Gate(config)
with ThreadPoolExecutor(count) as pool:
    outcomes = list(pool.map(lambda _: gate.authenticate(authorization=authorization), range(count)))
print(json.dumps([outcome.cache_status for outcome in outcomes]), flush=True)
"""
STAYING = (
    MANY
    + """
for line in sys.stdin:
    print(sum(credgate.report()["allowed"].values()), flush=True)
"""
)


def python(
    options: dict[str, object], scripted: Scripted, client: Client, count: int, program: str = MANY
) -> "subprocess.Popen[str]":
    config = {"issuer": scripted.issuer, "token_post_args_names": ["audience"], "token_post_args_values": [AUDIENCE]}
    told = [
        {**options, "store_timeout": 5000},
        {**config, "allow_loopback_http": True},
        client.basic["Authorization"],
        count,
    ]
    command = [sys.executable, "-c", program, json.dumps(told)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_nginx_and_a_python_process_cause_one_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path}/store/tokens.db"
    server = gateway(nginx, directives(url, None, PATIENT), scripted, upstream, workers=4)
    scripted.hold()
    volley = Volley([server.port], [ALICE], 500)
    all_pending([server], 500)
    process = python({"store": url}, scripted, ALICE, 50)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    scripted.release()
    out, _ = process.communicate(timeout=60)
    assert set(volley.statuses()) == {200}
    assert set(json.loads(out)) <= {"SHARED", "JOINED", "HIT"}
    assert scripted.state["token"] == 1


def test_two_python_processes_and_nginx_share_a_redis(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    options: dict[str, object] = {"store": redis.url(), "store_pepper_file": str(pepper)}
    scripted.hold()
    processes = [python(options, scripted, BOB, 20) for _ in range(2)]
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    scripted.release()
    told = [one for process in processes for one in json.loads(process.communicate(timeout=60)[0])]
    assert len(told) == 40 and told.count("MISS") == 1
    assert status(gateway(nginx, directives(redis.url(), pepper, PATIENT), scripted, upstream), BOB) == "SHARED"
    assert scripted.state["token"] == 1


def test_every_process_reports_the_metrics_of_all(scripted: Scripted, tmp_path: Path) -> None:
    options: dict[str, object] = {"store": f"sqlite:{tmp_path}/store/tokens.db", "store_metrics": True}
    (tmp_path / "store").mkdir(mode=0o700)
    processes = [python(options, scripted, ALICE, count, STAYING) for count in (5, 7)]
    for process in processes:
        assert process.stdout and process.stdout.readline()

    def told(process: "subprocess.Popen[str]") -> int:
        assert process.stdin and process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    for process in processes:
        until(lambda process=process: told(process) == 12, "the numbers of all")
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
