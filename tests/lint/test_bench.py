"""The arithmetic of the comparison in `bench`, and its readers of other programs' output."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import figures, glibc
from bench.__main__ import PROBE, TITLE, chosen_of, table
from bench.__main__ import figures as figures_of
from bench.cases import NARROW, Case, cases
from bench.figures import Table, quartiles, spread, write
from bench.instructions import of_file
from bench.load import Load, cpu, requests_of, ticks, ticks_of
from bench.report import BEGIN, END, HITS, PROXIES, inserted
from bench.svg import Bar, chart
from bench.svg import ticks as round_values

WRK = """\
Running 1s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.25ms  130.05us   4.97ms   90.71%
    Req/Sec    25.68k     1.02k   26.66k    72.73%
  56203 requests in 1.10s, 8.47MB read
Requests/sec:  51094.17
Transfer/sec:      7.70MB
"""
CALLGRIND = """\
events: Ir
fl=(1) /build/nginx.c
fn=(1) main
10 5
cfi=(2) ./malloc/malloc.c
cfn=(2) malloc
calls=3 20
11 3000
fl=(2)
fn=(2)
20 7
+3 20
fi=(3) ./malloc/arena.c
30 100
fe=(2)
40 3
fl=(1)
fn=(1)
* 1
"""
DIAGNOSTICS = """\
x86.cpu_features.features[0x0].active[0x1]=0xffffffff
x86.cpu_features.features[0x1].cpuid[0x1]=0xffffffff
x86.cpu_features.features[0x1].active[0x1]={:#x}
x86.cpu_features.preferred.AVX_Fast_Unaligned_Load={:#x}
"""
EVERY = cases("https://example.com", "ey")


def test_the_rate_of_wrk_is_read_exactly() -> None:
    assert requests_of(WRK) == (56203, 51094.17)


@pytest.mark.parametrize(
    "output",
    [WRK + "  Non-2xx or 3xx responses: 5\n", WRK + "  Socket errors: connect 0, read 1\n", WRK.replace("56203", "0")],
)
def test_failed_requests_are_an_error(output: str) -> None:
    with pytest.raises(ValueError):
        requests_of(output)


def test_clock_ticks_are_read_after_a_name_with_parentheses() -> None:
    assert ticks_of("7 (a) R b) S 1 7 7 0 -1 4194560 105 0 0 0 41 59 3 4 20 0 1 0") == (41, 59)


def test_the_cpu_time_of_a_process_grows_with_its_work() -> None:
    before = cpu(os.getpid())
    assert sum(range(100_000)) and cpu(os.getpid()) > before > 0
    assert sum(ticks(os.getpid())) >= 0
    with pytest.raises(OSError):
        cpu(2**22 + 1)


def test_turns_add_up_to_a_round() -> None:
    whole = Load(100, 1, 50_000, 1, 2) + Load(300, 1, 150_000, 3, 4)
    assert whole == Load(400, 2, 200_000, 4, 6)
    assert whole.rate == 200 and whole.microseconds == 0.5


def test_a_slow_round_does_not_change_ratios_of_the_same_round() -> None:
    # The machine is twice as slow in each round.
    own = [Load(500, 1 << number, 5_000_000 << number, 30, 70) for number in range(4)]
    base = [Load(1000, 1 << number, 4_000_000 << number, 50, 50) for number in range(4)]
    case = Case("own", "as described", beside=("static", "absent"))
    found = figures_of(case, {"own": own, "static": base}, {})
    assert found["beside"] == {"static": {"throughput_ratio": [0.5] * 3, "cpu_over_us": [10.5, 18, 30]}}
    assert found["cpu_us"] == [10, 20, 40, 80] and found["requests_per_second"] == [500, 250, 125, 62]
    assert (found["user_us"], found["system_us"]) == (9, 21), "the median, split by the ticks of all rounds"
    assert found["processor_share"] == 0.005 and "instructions_beyond_bare" not in found


def test_instructions_are_those_beyond_the_bare_proxy() -> None:
    loads = {name: [Load(1, 1, 1, 1, 1)] * 2 for name in ("own", "bare")}
    counts = {"own": {"all": 900.4, "allocator": 90}, "bare": {"all": 400, "allocator": 100}}
    found = figures_of(Case("own", ""), loads, counts)
    assert found["instructions_per_request"] == 900 and found["instructions_beyond_bare"] == 500
    assert found["allocator_beyond_bare"] == -10


def test_the_cost_of_callees_is_not_that_of_a_file() -> None:
    assert of_file(CALLGRIND, "malloc.c") == 7 + 20 + 3
    assert of_file(CALLGRIND, "nginx.c") == 5 + 1
    with pytest.raises(AssertionError):
        of_file(CALLGRIND, "other.c")


def test_wide_vectors_are_seen_in_the_diagnostics() -> None:
    assert glibc.wide(DIAGNOSTICS.format(0, 0)) == set()
    assert glibc.wide(DIAGNOSTICS.format(1 << 5 | 1 << 31, 0)) == {"AVX2", "AVX512VL"}
    assert glibc.wide(DIAGNOSTICS.format(0, 1)) == {"AVX_Fast_Unaligned_Load"}
    with pytest.raises(ValueError):
        glibc.wide("")


def test_glibc_follows_the_tunables() -> None:
    glibc.check()


def test_cases_are_compared_with_cases() -> None:
    names = [case.name for case in EVERY]
    assert len(set(names)) == len(names) and set(HITS | PROXIES) <= set(names)
    for case in EVERY:
        assert case.beside and set(case.beside) <= set(names) - {case.name}, case.name
        assert case.name.endswith(NARROW) == bool(case.environment) == case.beside[0].endswith(NARROW)
        assert case.name == "static" or "static" in case.beside or f"static{NARROW}" in case.beside


def test_chosen_cases_bring_those_beside_them() -> None:
    assert chosen_of(EVERY, []) == EVERY
    chosen = {case.name for case in chosen_of(EVERY, ["lua_full"])}
    assert chosen == {"bare", "static", "lua_full", "lua_lru"}


def test_cases_with_narrow_vectors_have_a_table_of_their_own() -> None:
    loads = {case.name: [Load(10, 1, 10, 1, 1)] * 2 for case in EVERY}
    counts = {case.name: {"all": 1.0, "allocator": 1.0} for case in EVERY if case.counted}
    found = {case.name: figures_of(case, loads, counts) for case in EVERY}
    shown = [[row[0].strip("`") for row in table(found, title).rows] for title in (TITLE, PROBE)]
    assert shown[0] == [case.name for case in EVERY if not case.environment]
    assert shown[1] == [f"bare{NARROW}", f"static{NARROW}", f"credgate{NARROW}"]


def test_quartiles_are_shown_around_the_median() -> None:
    assert spread(quartiles([5, 1, 3, 2, 4])) == "3.00 (2.00..4.00)"
    assert spread([-0.001, -0.0, 0.001]) == "0.00 (0.00..0.00)"


def test_columns_of_numbers_are_aligned_right() -> None:
    shown = Table("Title", ("case", "ns"), [["`a`", "5"], ["`bc`", "1,000"], ["`d`", "–"], ["`e`", "-0.5 (-1..0)"]])
    assert shown.markdown().splitlines()[1:3] == ["| --- | ---: |", "| `a` | 5 |"]
    assert shown.text().splitlines()[:3] == ["case            ns", "`a`              5", "`bc`         1,000"]


def test_parts_keep_the_results_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path / "bench/figures.json")
    write({"nginx": {"cases": 1, "tables": [Table("Title", ("a",), [["b"]])]}})
    write({"core": {"groups": 2}})
    write({"nginx": {"cases": 3}})
    found = json.loads(figures.FIGURES.read_text())
    assert found["nginx"].keys() == {"machine", "date", "cases"} and found["nginx"]["cases"] == 3
    assert found["core"]["groups"] == 2 and "processors" in found["core"]["machine"]


def test_only_the_generated_part_is_replaced() -> None:
    text = f"{BEGIN}\nnew\n{END}"
    assert inserted(f"before\n{BEGIN}\nold\n{END}\nafter\n", text) == f"before\n{text}\nafter\n"
    with pytest.raises(ValueError):
        inserted(f"before\n{BEGIN}\nold\n", text)


@pytest.mark.parametrize(("low", "high"), [(0, 0.47), (0, 1), (0, 48.5), (-0.3, 2.1), (-8, -1), (0, 0)])
def test_the_axis_spans_its_values(low: float, high: float) -> None:
    found = round_values(low, high)
    assert 2 <= len(found) <= 8 and found[0] <= low and found[-1] >= high


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(chart("A & B", "note", [Bar("<a>", 1, 1, 1), Bar("b", 2, 1, 3), Bar("c", -1, -2, 0)]))
    bars = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") == "other"]
    lengths = [float(bar.get("width", "0")) for bar in bars]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=0.2) and lengths[2] == pytest.approx(lengths[0], abs=0.2)
    starts = [float(bar.get("x", "0")) for bar in bars]
    assert starts[0] == starts[1] == pytest.approx(starts[2] + lengths[2], abs=0.2), "all begin at zero"
