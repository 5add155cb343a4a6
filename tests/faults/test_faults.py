"""Every fault in every host, as documented in core/FAULTS.md."""

from pathlib import Path

import pytest

from faults import provider_matrix, store_matrix


@pytest.mark.timeout(300)
def test_every_provider_fault_has_its_documented_response_in_every_host(tmp_path: Path) -> None:
    cells = provider_matrix.measure(tmp_path)
    assert len(cells) >= 3 * 60
    assert not [cell for cell in cells if cell.problems], provider_matrix.table(cells)


@pytest.mark.timeout(300)
def test_no_store_fault_denies_a_request_in_any_host(tmp_path: Path) -> None:
    rows = store_matrix.measure(tmp_path)
    assert len(rows) >= 30
    assert not [row for row in rows if row.problems], store_matrix.table(rows)
