"""From the ministry's PhytosanitaryCer to the UN/CEFACT SPSCertificate, and from the hub's tracking words to outcomes. Pure.

The README has the table of fields with their source. Note subjects and treatment codes (ADEDL, DMCL, RPC*, TT*) are the IPPC's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lxml import etree

from gateway.errors import Code, NotValid, Problem
from gateway.lifecycle import Accepted, Delivered, Failed, Outcome, Rejected

from .countries import country_of

RSM = "urn:un:unece:uncefact:data:standard:SPSCertificate:17"
RAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:21"
UDT = "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:21"
_NSMAP = {"rsm": RSM, "ram": RAM, "udt": UDT}

PHYTOSANITARY, RE_EXPORT = 851, 657
CERTIFICATE_TYPES = {"1": PHYTOSANITARY, "2": RE_EXPORT}  # TypeCer
NAMES = {PHYTOSANITARY: "Phytosanitary certificate", RE_EXPORT: "Phytosanitary certificate for re-export"}
ISSUED = 70  # StatusCode
EXPORT_CLAUSE = "1"  # the certifying statement of an export certificate; a re-export certificate certifies by its RPC notes
OTHER_TREATMENT = "ZZZ"  # the only process code the IPPC allows; the characteristics say what was done

# What the field writes -> UN/ECE recommendation 20. A code of that recommendation passes as it is.
UNITS = {
    "KG": "KGM", "KGS": "KGM", "KILOGRAM": "KGM", "KILOGAM": "KGM", "G": "GRM", "GR": "GRM", "GRAM": "GRM", "GAM": "GRM",
    "T": "TNE", "TAN": "TNE", "TẤN": "TNE", "MT": "TNE", "TON": "TNE", "TONNE": "TNE", "L": "LTR", "LIT": "LTR", "LÍT": "LTR",
    "LITRE": "LTR", "M3": "MTQ", "CBM": "MTQ",
}  # fmt: skip
_REC20 = re.compile(r"[A-Z0-9]{2,3}")
_COUNTRY = re.compile(r"[A-Z]{2}")

# SPSCertificate element <- value and unit of a product
MEASURES = (
    ("NetWeightMeasure", "NetWeight"),
    ("GrossWeightMeasure", "GrossWeight"),
    ("NetVolumeMeasure", "NetVolume"),
    ("GrossVolumeMeasure", "GrossVolume"),
)
# IPPC subject <- field of a re-export certificate that is 0 or not
RE_EXPORT_FLAGS = (
    ("RPCOR", "Original"),
    ("RPCTC", "Copy"),
    ("RPCPK", "Packed"),
    ("RPCRP", "Repacked"),
    ("RPCOC", "InOriginal"),
    ("RPCNC", "NewContainer"),
    ("RPCPC", "BasedOnOriPhytoCer"),
    ("RPCAI", "AddInspection"),
)
TREATMENT_PARTS = (("TTL1", "TreatmentName"), ("TTCH", "Chemical"), ("TTAI", "Information"))
TREATMENT_TEXT = ("TreatmentName", "Chemical", "Concentration", "Duration", "Information")  # in words, for readers without the codes

FIRST_POLL = timedelta(seconds=2)  # a country that is pushed to has it by then
NEXT_POLL = timedelta(seconds=10)  # a country that fetches takes its time

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One PhytosanitaryCer: its fields, its products, and who vouches for it."""

    fields: Fields
    products: tuple[Fields, ...]
    exporter: str  # ISO country code
    issuer: str  # the plant protection organisation's name

    @property
    def number(self) -> str:
        """The issuing organisation's own number."""
        return self.fields["DispatchNo"]

    @property
    def type_code(self) -> int:
        """851 or 657."""
        return CERTIFICATE_TYPES[self.fields["TypeCer"]]

    @property
    def importer(self) -> str:
        """The importing country's code, empty where the certificate does not say it.

        CountryExportCode is the country exported to: the form says "sent to". Some senders take it for the country exported
        from; then the end of the consignee's address says it.
        """
        said = (self.get("CountryExportCode").upper(), country_of(self.get("ConsigneeAddress")))
        return next((code for code in said if _COUNTRY.fullmatch(code) and code != self.exporter), "")

    @property
    def importer_name(self) -> str:
        """The importing country's name, where it stands with its code."""
        return self.get("CountryExportName") if self.get("CountryExportCode").upper() == self.importer else ""

    def get(self, *names: str) -> str:
        """Give the first field that says something; empty where none does."""
        return next((self.fields[name] for name in names if self.fields.get(name)), "")


def read(element: etree._Element | None, *, exporter: str, issuer: str) -> Certificate:
    """Read the business element of a 21/18, 21/21 or 21/24; raises NotValid where the hub could not use it."""
    if element is None or element.tag != "PhytosanitaryCer":
        raise _unusable("wsdl.not-a-certificate", "Content", "" if element is None else str(element.tag), code=Code.MESSAGE_UNKNOWN)
    products = tuple(_fields(product) for product in element.iterfind("ProductList/Product"))
    certificate = Certificate(fields=_fields(element), products=products, exporter=exporter.upper(), issuer=issuer)
    _check(certificate)
    return certificate


def envelope(certificate: Certificate) -> Mapping[str, object]:
    """Give the hub's envelope as values of its WSDL; the hub adds its number."""
    return {
        "From": certificate.exporter,
        "To": certificate.importer,
        "CertificateType": certificate.type_code,
        "CertificateStatus": ISSUED,
        "NPPOCertificateNumber": certificate.number,
        "Content": etree.tostring(sps_certificate(certificate), encoding="unicode"),
    }


def sps_certificate(certificate: Certificate) -> etree._Element:
    """Write the SPSCertificate."""
    return _rsm("SPSCertificate", _document(certificate), _consignment(certificate))


def outcome(header: Mapping[str, object], *, poll: bool) -> Outcome:
    """Say what the hub's word for an envelope means for its delivery; `poll` where it was asked for."""
    number, state = str(header.get("hubDeliveryNumber") or ""), str(header.get("HUBTrackingInfo") or "PendingDelivery")
    reason = ": ".join(filter(None, (state, str(header.get("hubDeliveryErrorMessage") or ""))))
    match state:
        case "PendingDelivery" if number:
            return Accepted(reference=number, ask_again_in=NEXT_POLL if poll else FIRST_POLL)
        case "Delivered" | "DeliveredWithWarnings":
            return Delivered(reference=number)
        case "DeliveredNotReadable" | "FailedDelivery":
            return Rejected(reason=reason)
        case "EnvelopeNotExists":
            return Failed(code="envelope-not-exists", detail=reason)
    return Failed(code="reply-unreadable", detail=reason)


# --- the document --------------------------------------------------------------------------------------------------


def _document(certificate: Certificate) -> etree._Element:
    return _rsm(
        "SPSExchangedDocument",
        _ram("Name", NAMES[certificate.type_code]),
        _ram("ID", certificate.number),
        _ram("TypeCode", str(certificate.type_code)),
        _ram("StatusCode", str(ISSUED)),
        _ram("IssueDateTime", _moment(certificate, "DateIssue")),
        _ram("IssuerSPSParty", _ram("Name", certificate.issuer)),
        *_notes(
            "IncludedSPSNote",
            ("ADEDL", certificate.get("AddDeclaration")),
            ("ADRPR", certificate.get("ReasonEdit")),
            ("DMCL", certificate.get("Marks")),
        ),
        _signature(certificate),
    )


def _signature(certificate: Certificate) -> etree._Element:
    clauses = [_ram("IncludedSPSClause", _ram("ID", EXPORT_CLAUSE))] if certificate.type_code == PHYTOSANITARY else []
    return _ram(
        "SignatorySPSAuthentication",
        _ram("ActualDateTime", _moment(certificate, "DateIssue")),
        _ram("IssueSPSLocation", _ram("Name", certificate.get("PlaceOfIssue"))),
        _ram(
            "ProviderSPSParty", _ram("Name", certificate.issuer), _ram("SpecifiedSPSPerson", _ram("Name", certificate.get("NameOfOfficer")))
        ),
        *clauses,
    )


# --- the consignment -----------------------------------------------------------------------------------------------


def _consignment(certificate: Certificate) -> etree._Element:
    get = certificate.get
    return _rsm(
        "SPSConsignment",
        _party("ConsignorSPSParty", get("ExporterName"), get("ExporterAddress")),
        _party("ConsigneeSPSParty", get("ConsigneeName"), get("ConsigneeAddress")),
        _country("ExportSPSCountry", certificate.exporter),
        _country("ImportSPSCountry", certificate.importer, certificate.importer_name),
        *([_country("TransitSPSCountry", get("CountryTransitCode"), get("CountryTransitName"))] if get("CountryTransitCode") else []),
        _ram("UnloadingBaseportSPSLocation", _ram("Name", get("EntryPoint"))),
        _carriage(certificate),
        _ram("IncludedSPSConsignmentItem", *_lines(certificate)),
    )


def _party(tag: str, name: str, address: str) -> etree._Element:
    return _ram(tag, _ram("Name", name), *([_ram("SpecifiedSPSAddress", _ram("LineOne", address))] if address else []))


def _country(tag: str, code: str, name: str = "", *inside: etree._Element) -> etree._Element:
    return _ram(tag, _ram("ID", code.upper()), *_given("Name", name), *inside)


def _carriage(certificate: Certificate) -> etree._Element:
    means = certificate.get("NameOfMeanTransport")
    return _ram(
        "MainCarriageSPSTransportMovement",
        *_given("ID", certificate.get("TransportNumber")),
        _ram("ModeCode", certificate.get("ModeOfTransport")),
        *([_ram("UsedSPSTransportMeans", _ram("Name", means))] if means else []),
    )


# --- the goods -----------------------------------------------------------------------------------------------------


def _lines(certificate: Certificate) -> Iterator[etree._Element]:
    """Write a line a product. Packages are counted for the whole consignment, so they stand in the first line only."""
    for number, product in enumerate(_weighed(certificate), start=1):
        yield _ram(
            "IncludedSPSTradeLineItem",
            _ram("SequenceNumeric", str(number)),
            _ram("Description", product["ProductName"]),
            _ram("CommonName", product["ProductName"]),
            *_given("ScientificName", product.get("BotanicalName", "")),
            *(_measure(tag, product, name) for tag, name in MEASURES if product.get(name)),
            *_notes("AdditionalInformationSPSNote", *_re_export(certificate), *_other_quantity(product)),
            *([_package(certificate)] if number == 1 else []),
            _country(
                "OriginSPSCountry", certificate.get("CodeOfOriginCountry"), certificate.get("NameOfOriginCountry"), *_area(certificate)
            ),
            *_treatment(certificate),
        )


def _weighed(certificate: Certificate) -> tuple[Fields, ...]:
    """Give the products; a single one without weights of its own has those of the consignment."""
    if len(certificate.products) != 1:
        return certificate.products
    totals = {name.removeprefix("Total"): text for name, text in certificate.fields.items() if name.startswith("Total")}
    own = {name: text for name, text in certificate.products[0].items() if text}
    return ({**totals, **own},)


def _measure(tag: str, product: Fields, name: str) -> etree._Element:
    measure = _ram(tag, product[name])
    measure.set("unitCode", _unit(product, name))
    return measure


def _unit(product: Fields, name: str) -> str:
    written = [product[key].upper() for key in (f"{name}UnitCode", f"{name}UnitName") if product.get(key)]
    known = next((UNITS[text] for text in written if text in UNITS), None)
    if known is None and not (written and _REC20.fullmatch(written[0])):
        raise _unusable("wsdl.unit", f"PhytosanitaryCer/ProductList/Product/{name}UnitCode", ", ".join(written))
    return known or written[0]


def _other_quantity(product: Fields) -> Iterator[tuple[str, str]]:
    if product.get("Quantity"):
        yield "OQV", product["Quantity"]
        yield "OQU", product.get("QuantityUnitCode") or product.get("QuantityUnitName", "")


def _package(certificate: Certificate) -> etree._Element:
    return _ram(
        "PhysicalSPSPackage",
        _ram("LevelCode", certificate.get("LevelOfPackage")),
        _ram("TypeCode", certificate.get("TypeOfPackageCode")),
        _ram("ItemQuantity", certificate.get("QuantityOfPackage")),
    )


def _area(certificate: Certificate) -> list[etree._Element]:
    district = certificate.get("NameOfOriginDistric")
    return [_ram("SubordinateSPSCountrySubDivision", _ram("Name", district))] if district else []


def _re_export(certificate: Certificate) -> Iterator[tuple[str, str]]:
    if certificate.type_code == RE_EXPORT:
        yield "RPCCO", certificate.get("FromCountry", "CodeOfOriginCountry")
        yield "RPCRF", certificate.get("PhytoCerNo")
        yield from ((subject, str(certificate.get(name) not in {"", "0"})) for subject, name in RE_EXPORT_FLAGS)


def _treatment(certificate: Certificate) -> list[etree._Element]:
    """Write the one treatment of the certificate; a code without words is the form's "none"."""
    words = [text for text in map(certificate.get, TREATMENT_TEXT) if text]
    if not words:
        return []
    parts = [(code, certificate.get(name)) for code, name in TREATMENT_PARTS if certificate.get(name)]
    started = [_ram("CompletionSPSPeriod", _ram("StartDateTime", _moment(certificate, "Date")))] if certificate.get("Date") else []
    characteristics = (
        _ram("ApplicableSPSProcessCharacteristic", _ram("Description", code), _ram("Description", text))
        for code, text in (*parts, ("TTFT", "; ".join(words)))
    )
    return [_ram("AppliedSPSProcess", _ram("TypeCode", OTHER_TREATMENT), *started, *characteristics)]


# --- small parts ---------------------------------------------------------------------------------------------------


def _rsm(tag: str, *inside: etree._Element) -> etree._Element:
    return _element(f"{{{RSM}}}{tag}", *inside)


def _ram(tag: str, *inside: etree._Element | str) -> etree._Element:
    return _element(f"{{{RAM}}}{tag}", *inside)


def _element(name: str, *inside: etree._Element | str) -> etree._Element:
    """Write an element around its text or its children."""
    element = etree.Element(name, nsmap=_NSMAP)
    for part in inside:
        if isinstance(part, str):
            element.text = part
        else:
            element.append(part)
    return element


def _fields(element: etree._Element) -> Fields:
    return {str(child.tag): (child.text or "").strip() for child in element.iterchildren("*")}


def _given(tag: str, text: str) -> list[etree._Element]:
    return [_ram(tag, text)] if text else []


def _notes(tag: str, *notes: tuple[str, str]) -> list[etree._Element]:
    return [_ram(tag, _ram("Subject", subject), _ram("Content", text)) for subject, text in notes if text]


def _moment(certificate: Certificate, name: str) -> etree._Element:
    """Write a date as W3C does; the certificate gives no time of day, so none is claimed."""
    return _element(f"{{{UDT}}}DateTimeString", _date(certificate.get(name), name).isoformat())


def _date(text: str, name: str) -> date:
    for form in ("%Y-%m-%d", "%d/%m/%Y"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a calendar date on paper has no zone
        except ValueError:
            continue
    raise _unusable("wsdl.date", f"PhytosanitaryCer/{name}", text)


def _check(certificate: Certificate) -> None:
    """Refuse what would make a false or undeliverable official document."""
    found = certificate.get("TypeCer")
    if found not in CERTIFICATE_TYPES:
        raise _unusable("wsdl.certificate-type", "PhytosanitaryCer/TypeCer", found)
    if not certificate.importer:
        written = certificate.get("CountryExportCode")
        raise _unusable("wsdl.destination", "PhytosanitaryCer/CountryExportCode", written, exporter=certificate.exporter)
    if not certificate.products:
        raise _unusable("wsdl.no-goods", "PhytosanitaryCer/ProductList", "")


def _unusable(text: str, path: str, found: str, *, code: Code = Code.SCHEMA, **values: str) -> NotValid:
    return NotValid(code, Problem(text=text, path=path, values={"found": found, "element": found, **values}))
