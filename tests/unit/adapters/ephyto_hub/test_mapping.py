import pytest
from lxml import etree

from adapters.ephyto_hub import mapping
from gateway.errors import Code, NotValid, explain, remedy
from gateway.testing import builders
from gateway.testing.contents import Consignment

NS = {"rsm": mapping.RSM, "ram": mapping.RAM, "udt": mapping.UDT}
LINE = "//ram:IncludedSPSTradeLineItem"


def issued(goods: int = 2, **changed: str | None) -> etree._Element:
    """A PhytosanitaryCer for the Netherlands with some fields changed, None takes one out; `Product_` is one of the first product."""
    element = etree.fromstring(builders.message("21/18", Consignment(goods=goods))).find("Body/Content/PhytosanitaryCer")
    assert element is not None
    for name, text in {"TypeCer": "1", "CountryExportCode": "NL", "CountryExportName": "Hà Lan", **changed}.items():
        parent = element.find("ProductList/Product") if name.startswith("Product_") else element
        assert parent is not None
        tag = name.removeprefix("Product_")
        for old in parent.findall(tag):
            parent.remove(old)
        if text is not None:
            etree.SubElement(parent, tag).text = text
    return element


def written(goods: int = 2, **changed: str | None) -> etree._Element:
    return mapping.sps_certificate(mapping.read(issued(goods, **changed), exporter="VN", issuer="Plant Protection Department"))


def texts(document: etree._Element, path: str) -> list[str]:
    found = document.xpath(f"{path}/text()", namespaces=NS)
    assert isinstance(found, list)
    return [str(text) for text in found]


def note(document: etree._Element, subject: str) -> list[str]:
    return texts(document, f"//*[ram:Subject='{subject}']/ram:Content")


# --- the document --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "code", "clauses"), [("1", "851", ["1"]), ("2", "657", [])])
def test_certificate_type_decides_code_and_clause(kind: str, code: str, clauses: list[str]) -> None:
    document = written(TypeCer=kind)

    assert texts(document, "rsm:SPSExchangedDocument/ram:TypeCode") == [code]
    assert texts(document, "//ram:IncludedSPSClause/ram:ID") == clauses


def test_document_says_number_status_issuer_place_and_officer() -> None:
    document = written(DispatchNo="26-1/KDTV", PlaceOfIssue="Hải Phòng", NameOfOfficer="Nguyễn Hoàng Sơn")

    assert texts(document, "rsm:SPSExchangedDocument/ram:ID") == ["26-1/KDTV"]
    assert texts(document, "rsm:SPSExchangedDocument/ram:StatusCode") == ["70"]
    assert texts(document, "//ram:IssuerSPSParty/ram:Name") == ["Plant Protection Department"]
    assert texts(document, "//ram:IssueSPSLocation/ram:Name") == ["Hải Phòng"]
    assert texts(document, "//ram:SpecifiedSPSPerson/ram:Name") == ["Nguyễn Hoàng Sơn"]


@pytest.mark.parametrize("text", ["2026-03-09", "09/03/2026"])
def test_both_spellings_of_a_date_are_read(text: str) -> None:
    assert texts(written(DateIssue=text), "//ram:IssueDateTime/udt:DateTimeString") == ["2026-03-09"]


def test_declaration_marks_and_reason_are_notes() -> None:
    document = written(AddDeclaration="Free from Bactrocera & others", Marks="MD-1", ReasonEdit="Sai số container")

    assert [note(document, subject) for subject in ("ADEDL", "DMCL", "ADRPR")] == [
        ["Free from Bactrocera & others"], ["MD-1"], ["Sai số container"],
    ]  # fmt: skip


def test_absent_texts_leave_no_notes() -> None:
    document = written(AddDeclaration=None, Marks="  ", ReasonEdit=None)

    assert texts(document, "//ram:IncludedSPSNote/ram:Subject") == []


def test_re_export_carries_the_original_certificate() -> None:
    document = written(1, TypeCer="2", FromCountry="Lào", PhytoCerNo="LA-77", Original="1", Copy="0", Repacked="2", AddInspection=None)

    assert [note(document, subject) for subject in ("RPCCO", "RPCRF", "RPCOR", "RPCTC", "RPCRP", "RPCAI")] == [
        ["Lào"], ["LA-77"], ["True"], ["False"], ["True"], ["False"],
    ]  # fmt: skip


def test_export_certificate_has_no_re_export_notes() -> None:
    assert note(written(TypeCer="1", PhytoCerNo="LA-77"), "RPCRF") == []


# --- the consignment -----------------------------------------------------------------------------------------------


def test_countries_and_port_are_where_they_belong() -> None:
    document = written(CountryTransitCode="sg", CountryTransitName="Singapore", EntryPoint="Rotterdam")

    assert texts(document, "//ram:ExportSPSCountry/ram:ID") == ["VN"]
    assert texts(document, "//ram:ImportSPSCountry/*") == ["NL", "Hà Lan"]
    assert texts(document, "//ram:TransitSPSCountry/*") == ["SG", "Singapore"]
    assert texts(document, "//ram:UnloadingBaseportSPSLocation/ram:Name") == ["Rotterdam"]


def test_exporters_own_code_gives_way_to_the_consignees_country() -> None:
    document = written(CountryExportCode="VN", CountryExportName="Việt Nam", ConsigneeAddress="1-2 Kaigan, Tokyo, Japan 105-0022")

    assert texts(document, "//ram:ImportSPSCountry/*") == ["JP"]


def test_consignors_name_stays_apart_from_the_address() -> None:
    document = written(ExporterName="Công ty A", ExporterAddress="Số 1, Hà Nội")

    assert texts(document, "//ram:ConsignorSPSParty/ram:Name") == ["Công ty A"]
    assert texts(document, "//ram:ConsignorSPSParty//ram:LineOne") == ["Số 1, Hà Nội"]


def test_carriage_says_mode_number_and_means() -> None:
    document = written(ModeOfTransport="4", TransportNumber="VN51", NameOfMeanTransport="Boeing 787")

    assert texts(document, "//ram:MainCarriageSPSTransportMovement//*") == ["VN51", "4", "Boeing 787"]


# --- the goods -----------------------------------------------------------------------------------------------------


def test_each_product_is_a_line_with_its_names() -> None:
    document = written(Product_ProductName="Quả thanh long", Product_BotanicalName="Hylocereus undatus")

    assert texts(document, f"{LINE}/ram:SequenceNumeric") == ["1", "2"]
    assert texts(document, f"{LINE}[1]/ram:CommonName") == ["Quả thanh long"]
    assert texts(document, f"{LINE}[1]/ram:ScientificName") == ["Hylocereus undatus"]


def test_packages_are_counted_once() -> None:
    document = written(3, QuantityOfPackage="960", TypeOfPackageCode="CT", LevelOfPackage="1")

    assert texts(document, f"{LINE}/ram:PhysicalSPSPackage/*") == ["1", "CT", "960"]


@pytest.mark.parametrize(
    ("code", "name", "unit"),
    [
        ("KGM", None, "KGM"),
        ("kg", None, "KGM"),
        ("T", "tấn", "TNE"),
        ("00017", "Kilogam", "KGM"),
        (None, "TẤN", "TNE"),
        ("MTQ", None, "MTQ"),
    ],
)
def test_units_become_those_of_recommendation_20(code: str | None, name: str | None, unit: str) -> None:
    document = written(Product_NetWeight="12.5", Product_NetWeightUnitCode=code, Product_NetWeightUnitName=name)

    assert texts(document, f"{LINE}[1]/ram:NetWeightMeasure") == ["12.5"]
    assert texts(document, f"{LINE}[1]/ram:NetWeightMeasure[@unitCode='{unit}']") == ["12.5"]


def test_single_product_without_weights_has_the_totals() -> None:
    own: dict[str, str | None] = {f"Product_NetWeight{part}": None for part in ("", "UnitCode", "UnitName")}
    document = written(1, TotalNetWeight="4920", TotalNetWeightUnitCode="KGM", **own)

    assert texts(document, f"{LINE}/ram:NetWeightMeasure[@unitCode='KGM']") == ["4920"]


def test_other_quantity_is_a_pair_of_notes() -> None:
    document = written(1, Product_Quantity="960", Product_QuantityUnitCode="BX")

    assert (note(document, "OQV"), note(document, "OQU")) == (["960"], ["BX"])


def test_treatment_is_given_by_code_and_in_words() -> None:
    treated = {"Date": "2026-10-13", "TreatmentName": "Xông hơi", "Chemical": "CH3Br", "Concentration": "48 g/m3", "Duration": "24 h"}
    document = written(1, Information="21 độ C", **treated)

    assert texts(document, "//ram:AppliedSPSProcess/ram:TypeCode") == ["ZZZ"]
    assert texts(document, "//ram:AppliedSPSProcess//udt:DateTimeString") == ["2026-10-13"]
    assert texts(document, "//ram:ApplicableSPSProcessCharacteristic/ram:Description") == [
        "TTL1", "Xông hơi", "TTCH", "CH3Br", "TTAI", "21 độ C", "TTFT", "Xông hơi; CH3Br; 48 g/m3; 24 h; 21 độ C",
    ]  # fmt: skip


def test_untreated_goods_have_no_treatment() -> None:
    document = written(TreatmentName=None, Chemical=None, Concentration=None, Duration=None, Information=None, TreatmentCode="0")

    assert texts(document, "//ram:AppliedSPSProcess/ram:TypeCode") == []


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "text", "path"),
    [
        ({"TypeCer": "3"}, "wsdl.certificate-type", "PhytosanitaryCer/TypeCer"),
        ({"CountryExportCode": "VN", "ConsigneeAddress": "Rotterdam"}, "wsdl.destination", "PhytosanitaryCer/CountryExportCode"),
        ({"CountryExportCode": "N1", "ConsigneeAddress": "Hà Nội, Việt Nam"}, "wsdl.destination", "PhytosanitaryCer/CountryExportCode"),
        ({"ProductList": ""}, "wsdl.no-goods", "PhytosanitaryCer/ProductList"),
        ({"DateIssue": "31/02/2026"}, "wsdl.date", "PhytosanitaryCer/DateIssue"),
        ({"DateIssue": "hôm nay"}, "wsdl.date", "PhytosanitaryCer/DateIssue"),
        (
            {"Product_NetWeight": "1", "Product_NetWeightUnitCode": "thùng", "Product_NetWeightUnitName": None},
            "wsdl.unit", "PhytosanitaryCer/ProductList/Product/NetWeightUnitCode",
        ),
        (
            {"Product_NetWeight": "1", "Product_NetWeightUnitCode": None, "Product_NetWeightUnitName": None},
            "wsdl.unit", "PhytosanitaryCer/ProductList/Product/NetWeightUnitCode",
        ),
    ],
)  # fmt: skip
def test_certificates_the_hub_could_not_use_are_refused(changed: dict[str, str | None], text: str, path: str) -> None:
    with pytest.raises(NotValid) as refusal:
        written(2, **changed)

    problem = refusal.value.problems[0]
    assert (refusal.value.code, problem.text, problem.path) == (Code.SCHEMA, text, path)
    assert all(explain(problem, language) != text and remedy(problem, language) for language in ("vi", "en"))


@pytest.mark.parametrize("element", [None, etree.Element("Phytosanitary"), etree.Element("{urn:x}PhytosanitaryCer")])
def test_what_is_no_certificate_is_refused(element: etree._Element | None) -> None:
    with pytest.raises(NotValid) as refusal:
        mapping.read(element, exporter="VN", issuer="")

    assert refusal.value.code is Code.MESSAGE_UNKNOWN


def test_envelope_repeats_what_the_certificate_says() -> None:
    read = mapping.read(issued(DispatchNo="26-1"), exporter="vn", issuer="PPD")

    values = mapping.envelope(read)

    assert [values[name] for name in ("From", "To", "CertificateType", "CertificateStatus", "NPPOCertificateNumber")] == [
        "VN", "NL", 851, 70, "26-1",
    ]  # fmt: skip
    assert etree.fromstring(str(values["Content"])).tag == f"{{{mapping.RSM}}}SPSCertificate"
