"""The page in a real browser: a photograph, a webcam that is a file, a phone, the dark."""

import io
import random
import time

import browser
import pytest
import small_model
from PIL import Image
from test_serving import running

from faceage.predictor import Predictor
from faceage.synthetic import draw_face
from faceage.utkface import Labels

pytestmark = pytest.mark.skipif(browser.EXECUTABLE is None, reason="chromium is not on PATH")


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    face = draw_face(Labels(40, 0, 1), 200, random.Random(0))
    picture = Image.new("RGB", (640, 480), (120, 130, 140))
    picture.paste(face, (220, 140))
    return picture


@pytest.fixture
def page(workspace, scene):
    """A tab with the page open, before a camera that shows the scene."""
    small_model.write()
    frame = io.BytesIO()
    scene.save(frame, "JPEG", quality=95)
    (workspace / "camera.mjpeg").write_bytes(2 * frame.getvalue())
    scene.save(workspace / "photograph.jpg", quality=95)
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={workspace / 'camera.mjpeg'}",
    ]
    for address in running(Predictor()):
        with browser.chromium(workspace / "profile", flags) as tab:
            tab.open(address, 1280)
            yield tab


def wait_for(tab: browser.Page, condition: str) -> None:
    for _ in range(300):
        if tab.evaluate(condition):
            return
        time.sleep(0.1)
    pytest.fail(f"{condition} is still false: {tab.evaluate('document.body.innerText')}")


def choose(tab: browser.Page, path) -> None:
    document = tab.send("DOM.getDocument")["root"]["nodeId"]
    node = tab.send("DOM.querySelector", nodeId=document, selector="#files")["nodeId"]
    tab.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


def test_a_photograph_gets_a_box_an_age_and_an_interval(page, workspace):
    choose(page, workspace / "photograph.jpg")
    wait_for(page, "document.querySelectorAll('article .faces li').length == 1")
    assert page.evaluate("document.querySelectorAll('article rect.box').length") == 1
    assert "photograph.jpg: " in page.evaluate("document.getElementById('status').textContent")
    assert "to" in page.evaluate("document.querySelector('.detail').textContent")
    (workspace / "notes.jpg").write_text("no image")
    choose(page, workspace / "notes.jpg")
    wait_for(page, "document.getElementById('status').textContent == 'notes.jpg: not an image'")
    assert all("127.0.0.1" in url or url.startswith(("data:", "blob:")) for url in page.requests)


def test_the_webcam_is_estimated_live(page):
    page.evaluate("document.getElementById('webcam').click()")
    wait_for(page, "document.querySelectorAll('#boxes rect.box').length == 1")
    wait_for(page, "/^\\\\d+ pictures a second$/.test(document.getElementById('rate').textContent)")
    page.evaluate("document.getElementById('webcam').click()")
    assert page.evaluate("document.getElementById('live').hidden")
    assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_looks_whole(page, workspace, width, dark):
    address = page.evaluate("location.href")
    for path in ("", "docs"):
        page.open(address + path, width, dark=dark)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
    page.open(address, width, dark=dark)
    choose(page, workspace / "photograph.jpg")
    wait_for(page, "document.querySelectorAll('article').length == 1")
    assert page.evaluate(overflow) == 0
    assert page.complaints == []


def test_everything_is_reached_by_keyboard(page):
    """Tab goes from the file chooser to the webcam to the API; Enter presses."""
    reached = []
    for _ in range(3):
        for kind in ("keyDown", "keyUp"):
            page.send(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    assert reached[:2] == ["files", "webcam"]
    assert reached[2].endswith("/docs")
