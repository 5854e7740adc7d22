"""The business contents of plant quarantine for export, realistic and valid, as element trees written in canonical form.

A registration is what the declarant says; the ministry's messages are drawn from it, so a simulated ministry can answer any
application, not only ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lxml import etree

from gateway.security.devpki import TAX_CODE

Tree = Mapping[str, "str | Tree | Sequence[Tree]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """One kind of produce: its names, HS code, who grows it and how it is packed."""

    name: str
    botanical: str
    hs_code: str
    grower: str
    grower_code: str
    address: str
    unit: str
    unit_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consignment:
    """What one dossier is about: `number` ends its codes, `goods` counts the lines, `tax_code` is the declarant's."""

    number: int = 123
    goods: int = 3
    tax_code: str = TAX_CODE
    note: str = ""

    @property
    def file_code(self) -> str:
        """The dossier's number in the single window, 12 characters."""
        return f"BNN26{self.number:07d}"


PRODUCE = (
    Goods(
        name="Quả thanh long ruột trắng tươi",
        botanical="Hylocereus undatus",
        hs_code="08109092",
        grower="Hợp tác xã Thanh long Hàm Minh",
        grower_code="VN-BTOR-0017",
        address="Thôn Minh Thành, xã Hàm Minh, huyện Hàm Thuận Nam, tỉnh Bình Thuận",
        unit="BX",
        unit_name="Thùng",
    ),
    Goods(
        name="Quả xoài cát Hòa Lộc tươi",
        botanical="Mangifera indica",
        hs_code="08045020",
        grower="Hợp tác xã Xoài cát Hòa Lộc",
        grower_code="VN-TGOR-0042",
        address="Ấp Hòa, xã Hòa Hưng, huyện Cái Bè, tỉnh Tiền Giang",
        unit="CT",
        unit_name="Hộp các-tông",
    ),
    Goods(
        name="Quả vải thiều tươi",
        botanical="Litchi chinensis",
        hs_code="08109020",
        grower="Tổ hợp tác sản xuất vải thiều Hồng Giang",
        grower_code="VN-BGOR-0108",
        address="Thôn Kép 1, xã Hồng Giang, huyện Lục Ngạn, tỉnh Bắc Giang",
        unit="BX",
        unit_name="Thùng",
    ),
    Goods(
        name="Cà phê nhân Robusta chưa rang",
        botanical="Coffea canephora",
        hs_code="09011130",
        grower="Công ty TNHH MTV Cà phê Ea Pốk & Cư M'gar",
        grower_code="VN-DLCF-0009",
        address="Thị trấn Ea Pốk, huyện Cư M'gar, tỉnh Đắk Lắk",
        unit="BG",
        unit_name="Bao",
    ),
    Goods(
        name="Hạt tiêu đen chưa xay",
        botanical="Piper nigrum",
        hs_code="09041120",
        grower="Hợp tác xã Nông nghiệp Hồ tiêu Lộc Quang",
        grower_code="VN-BPPP-0031",
        address="Ấp Bồn Xăng, xã Lộc Quang, huyện Lộc Ninh, tỉnh Bình Phước",
        unit="BG",
        unit_name="Bao",
    ),
    Goods(
        name="Nhân hạt điều W320",
        botanical="Anacardium occidentale",
        hs_code="08013200",
        grower="Cơ sở chế biến hạt điều Phước Long",
        grower_code="VN-BPCN-0005",
        address="Phường Long Thủy, thị xã Phước Long, tỉnh Bình Phước",
        unit="CT",
        unit_name="Hộp các-tông",
    ),
)
EXPORTER = "CÔNG TY TNHH XUẤT NHẬP KHẨU NÔNG SẢN MIỀN ĐÔNG"
EXPORTER_ADDRESS = "Số 12 đường Nguyễn Thị Định, phường Thạnh Mỹ Lợi, thành phố Thủ Đức, Thành phố Hồ Chí Minh"
IMPORTER = "Van der Meer Tropical Fruit B.V."
IMPORTER_ADDRESS = "Marconistraat 19, 3029 AG Rotterdam, The Netherlands"
OFFICE = "Trung tâm Kiểm dịch thực vật sau nhập khẩu II - Chi cục Kiểm dịch thực vật vùng II"


def registration(consignment: Consignment) -> Tree:
    """Write what a declarant registers."""
    return {
        "NSWFileCode": consignment.file_code,
        "NameOfRegistration": EXPORTER,
        "AddressOfRegistration": EXPORTER_ADDRESS,
        "IdentityNumberOfRegistration": consignment.tax_code,
        "DateOfIdentityNumber": "2013-05-20 00:00:00",
        "RegistrationPlaceOfIdentityNumber": "Sở Kế hoạch và Đầu tư Thành phố Hồ Chí Minh",
        "Phone": "028 3742 5168",
        "Email": "xuatkhau@nongsanmiendong.example.vn",
        "GoodsList": {"Goods": [_goods(line, consignment) for line in range(1, consignment.goods + 1)]},
        "TransportType": "Đường biển",
        "Exporter": EXPORTER,
        "ExporterAddress": EXPORTER_ADDRESS,
        "PortOfDepartureName": "Cảng Cát Lái, Thành phố Hồ Chí Minh",
        "PortOfDepartureCode": "VNCLI",
        "Importer": IMPORTER,
        "ImporterAddress": IMPORTER_ADDRESS,
        "PortOfDestinationName": "Rotterdam",
        "PortOfDestinationCode": "NLRTM",
        "ImporterStateName": "Hà Lan",
        "ImporterStateCode": "NL",
        "Uses": "Làm thực phẩm" + consignment.note,
        "PlaceOfPhytosanitary": OFFICE,
        "DateOfPhytosanitar": "2026-10-13 08:00:00",
        "Monitoring": "Chiếu xạ tại Công ty Cổ phần Chiếu xạ An Phú",
        "NumberOfPhyto": "01 bản chính, 02 bản sao",
        "SignAddress": "Thành phố Hồ Chí Minh",
        "SignDate": "2026-10-12 09:15:00",
        "SignName": "Trần Văn Bảo",
    }


def application(registered: Tree) -> Tree:
    """Write the declarant's application, content of 10/01."""
    return {"Phytosanitary": registered}


def confirmation(registered: Tree) -> Tree:
    """Write the ministry's confirmation of an application, content of 13/07."""
    decided = {
        "DispatchNo": _dispatch(registered),
        "SignConfirmDate": "2026-10-12 14:05:00",
        "SignConfirmName": "Lê Thị Thu Hằng",
    }
    return {"Phytosanitary": {**registered, **decided}}


def fee(registered: Tree) -> Tree:
    """Write the fee notice, content of 18/14."""
    return {
        "PhytosanitaryFee": {
            "NSWFileCode": _text(registered, "NSWFileCode"),
            "TotalFee": f"{335_000 * len(_goods_of(registered))}",
            "Note": "Phí kiểm dịch thực vật theo Thông tư 33/2021/TT-BTC",
            "CreaterName": "Phạm Quốc Khánh",
        }
    }


def certificate(registered: Tree) -> Tree:
    """Write the phytosanitary certificate, content of 21/18."""
    goods = _goods_of(registered)
    return {
        "PhytosanitaryCer": {
            "NSWFileCode": _text(registered, "NSWFileCode"),
            "TypeCer": "1",
            "CountryExportName": _text(registered, "ImporterStateName"),  # the form says "sent to"
            "CountryExportCode": _text(registered, "ImporterStateCode"),
            "DispatchNo": _dispatch(registered),
            "ExporterName": _text(registered, "Exporter"),
            "ExporterAddress": _text(registered, "ExporterAddress"),
            "ConsigneeName": _text(registered, "Importer"),
            "ConsigneeAddress": _text(registered, "ImporterAddress"),
            "QuantityOfPackage": _sum(goods, "Quantity"),
            "TypeOfPackageName": "Thùng",
            "TypeOfPackageCode": "BX",
            "LevelOfPackage": "1",
            "Marks": "MD-NL/2026",
            "NameOfOriginLocation": "Bình Thuận, Tiền Giang, Bắc Giang",
            "NameOfOriginCountry": "Việt Nam",
            "CodeOfOriginCountry": "VN",
            "ModeOfTransport": "1",
            "NameOfMeanTransport": "CMA CGM RIVOLI",
            "TransportNumber": "0FLK7W1MA",
            "EntryPoint": _text(registered, "PortOfDestinationName"),
            "ProductList": {"Product": [_product(line) for line in goods]},
            "TotalNetWeight": _sum(goods, "NetWeight"),
            "TotalNetWeightUnitCode": "KGM",
            "TotalNetWeightUnitName": "Kilôgam",
            "PhytoCerNo": f"VN-V2-{_text(registered, 'NSWFileCode')}",
            "Original": "1",
            "Copy": "2",
            "Packed": "1",
            "Repacked": "0",
            "InOriginal": "1",
            "NewContainer": "0",
            "BasedOnOriPhytoCer": "0",
            "AddInspection": "0",
            "AddDeclaration": "The consignment is free from Bactrocera spp. and meets the import requirements of the European Union.",
            "Date": "2026-10-13",
            "TreatmentCode": "1",
            "TreatmentName": "Xử lý hơi nước nóng",
            "Concentration": "46,5 độ C",
            "Duration": "40 phút",
            "PlaceOfIssue": "Thành phố Hồ Chí Minh",
            "DateIssue": "2026-10-13",
            "NameOfOfficer": "Nguyễn Hoàng Sơn",
        }
    }


def read(element: etree._Element) -> Tree:
    """Read an element's children as a tree, the way write() would write them; comments and attributes are passed over."""
    tree: dict[str, str | Tree | list[Tree]] = {}
    for child in element.iterchildren(etree.Element):
        name, value = str(child.tag), (read(child) if len(child) else child.text or "")
        known = tree.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            tree[name] = [known, value]
        elif isinstance(value, Mapping) and isinstance(known, list):
            known.append(value)
        else:
            tree[name] = value
    return tree


def write(tree: Tree) -> bytes:
    """Write a tree as canonical XML without namespaces: no declaration, no white space between elements, no short empty tags."""
    return "".join(_written(tree)).encode()


def _net(line: int) -> int:
    return 4_800 + 120 * line


def _goods(line: int, consignment: Consignment) -> Tree:
    goods = PRODUCE[(line - 1) % len(PRODUCE)]
    return {
        "Sort": f"{line}",
        "Id": f"{consignment.number * 1_000 + line}",
        "NameOfGoods": goods.name,
        "NameSicenceOfGoods": goods.botanical,
        "Manufacture": goods.grower,
        "CodeOfManufacture": goods.grower_code,
        "ManufactureAddress": goods.address,
        "Quantity": "960",
        "QuantityUnitCode": goods.unit,
        "QuantityUnitName": goods.unit_name,
        "NetWeight": f"{_net(line)}",
        "NetWeightUnitCode": "KGM",
        "NetWeightUnitName": "Kilôgam",
        "GrossWeight": f"{_net(line) + 310}.5",
        "GrossWeightUnitCode": "KGM",
        "GrossWeightUnitName": "Kilôgam",
        "ContractNumber": f"MD-NL-{consignment.number % 10_000:04d}",
        "HsCode": goods.hs_code,
    }


def _product(goods: Tree) -> Tree:
    names = {"ProductName": "NameOfGoods", "BotanicalName": "NameSicenceOfGoods"}
    same = ("Quantity", "QuantityUnitCode", "QuantityUnitName", "NetWeight", "NetWeightUnitCode", "NetWeightUnitName")
    return {name: _text(goods, source) for name, source in (names | dict(zip(same, same, strict=True))).items() if source in goods}


def _goods_of(registered: Tree) -> Sequence[Tree]:
    listed = registered["GoodsList"]
    goods = listed.get("Goods", ()) if isinstance(listed, Mapping) else ()
    return [goods] if isinstance(goods, Mapping) else [line for line in goods if isinstance(line, Mapping)]


def _sum(goods: Sequence[Tree], name: str) -> str:
    return f"{sum(Decimal(_text(line, name) or 0) for line in goods)}"


def _dispatch(registered: Tree) -> str:
    return f"{_text(registered, 'NSWFileCode')}/KDTV-V2"


def _text(tree: Tree, name: str) -> str:
    value = tree.get(name, "")
    return value if isinstance(value, str) else ""


def _written(tree: Tree) -> Iterator[str]:
    for name, value in tree.items():
        for one in [value] if isinstance(value, str | Mapping) else value:
            yield f"<{name}>"
            yield from [_escaped(one)] if isinstance(one, str) else _written(one)
            yield f"</{name}>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
