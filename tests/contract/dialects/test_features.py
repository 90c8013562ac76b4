"""The table of features in the README of the providers says what is found."""

import pytest

from tests.contract.dialects.feature_table import FEATURES, cell, written
from tests.contract.dialects.variants import VARIANTS, Variant

WRITTEN = written()


@pytest.mark.parametrize("feature", FEATURES)
async def test_the_readme_says_what_is_found(variant: Variant, feature: str) -> None:
    assert WRITTEN.get((feature, variant.name)) == await cell(feature, variant), "write it anew: make features"


def test_the_readme_has_no_other_rows_and_columns() -> None:
    assert set(WRITTEN) == {(feature, name) for feature in FEATURES for name in VARIANTS}
