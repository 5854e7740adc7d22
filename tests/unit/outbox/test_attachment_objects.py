"""Objects of a storage that is not quite what one would wish."""

from urllib.parse import parse_qs, urlsplit

from gateway.model import Reply, Request
from gateway.outbox.attachments.objects import ObjectStore

PAGE = 2


class Slow:
    """A storage that goes on listing what it removed, two keys a page."""

    def __init__(self, *numbers: int) -> None:
        self.keys = [f"att/u1/{number:06d}" for number in numbers]
        self.removed: list[str] = []

    def ask(self, request: Request) -> Reply:
        place = urlsplit(request.endpoint)
        if request.method == "DELETE":
            self.removed.append(place.path.removeprefix("/b/"))
            return Reply(status=204, body=b"")
        asked = parse_qs(place.query)
        assert asked["prefix"] == ["att/u1/"]
        page = [key for key in self.keys if key > asked["start-after"][0]][:PAGE]
        listed = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in page)
        return Reply(status=200, body=f"<ListBucketResult>{listed}</ListBucketResult>".encode())


def test_each_object_is_removed_once_though_it_is_listed_on() -> None:
    storage = Slow(0, 1, 2, 3, 4)

    ObjectStore(storage.ask, bucket="http://s3/b", prefix="att").remove("u1", "")

    assert storage.removed == storage.keys
