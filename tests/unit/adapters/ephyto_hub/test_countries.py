import pytest

from adapters.ephyto_hub.countries import COUNTRIES, country_of


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("Marconistraat 19, 3029 AG Rotterdam, The Netherlands", "NL"),
        ("1-2 Kaigan, Minato-ku, Tokyo, JAPAN.", "JP"),
        ("1-2 Kaigan, Minato-ku, Tokyo, Japan 105-0022", "JP"),
        ("12 Orchard Rd, Singapore (238823)", "SG"),
        ("Singapore", "SG"),
        ("Bắc Kinh, Trung Quốc", "CN"),
        ("Guangzhou, P.R. China", "CN"),
        ("Albuquerque, New Mexico", ""),
        ("Atlanta, Georgia", ""),
        ("Rotterdam", ""),
        ("", ""),
        (",", ""),
    ],
)
def test_country_is_read_from_the_end_of_an_address(address: str, code: str) -> None:
    assert country_of(address) == code


def test_no_name_stands_for_two_countries() -> None:
    names = [name.casefold() for listed in COUNTRIES.values() for name in listed.split("|")]

    assert len(names) == len(set(names))
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)
