"""The page in a real browser: photographs, a webcam that is a file, a phone, the dark."""

import io
import json
import random
import re
import time
from pathlib import Path

import browser
import pytest
from local_server import running, write_model
from PIL import Image

from faceage.core.utkface import Labels
from faceage.inference.face_tracks import Tracker
from faceage.networks.targets import Classification, Dldl
from faceage.sample.synthetic import draw_face

pytestmark = pytest.mark.skipif(browser.EXECUTABLE is None, reason="chromium is not on PATH")

YEARS = Dldl(0, 90, 2.0)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
ELSEWHERE = "192.0.2.7"  # where a phone would reach this machine
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A photograph of two drawn people, a film of it for the camera, and no photograph."""
    folder = tmp_path_factory.mktemp("page")
    scene = Image.new("RGB", (640, 480), (120, 130, 140))
    for left, age in ((390, 70), (60, 30)):
        scene.paste(draw_face(Labels(age, 0, 1), 200, random.Random(age)), (left, 140))
    frame = io.BytesIO()
    scene.save(frame, "JPEG", quality=95)
    (folder / "photograph.jpg").write_bytes(frame.getvalue())
    (folder / "camera.mjpeg").write_bytes(2 * frame.getvalue())
    (folder / "notes.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def tab(folder):
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    ]
    with browser.chromium(folder / "profile", flags) as tab:
        yield tab


@pytest.fixture(scope="module")
def address(folder):
    with running(write_model(folder, YEARS)) as address:
        yield address


@pytest.fixture
def page(tab, address):
    tab.open(address, 1280)
    tab.complaints.clear()
    tab.requests.clear()
    return tab


def wait_for(tab: browser.Page, condition: str) -> None:
    for _ in range(300):
        if tab.evaluate(condition):
            return
        time.sleep(0.1)
    pytest.fail(f"{condition} is still false: {tab.evaluate('document.body.innerText')}")


def choose(tab: browser.Page, *paths: Path) -> None:
    document = tab.send("DOM.getDocument")["root"]["nodeId"]
    node = tab.send("DOM.querySelector", nodeId=document, selector="#files")["nodeId"]
    tab.send("DOM.setFileInputFiles", files=[str(path) for path in paths], nodeId=node)


def count(selector: str) -> str:
    return f"document.querySelectorAll({selector!r}).length"


def press(tab: browser.Page, key: str, code: int, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        tab.send("Input.dispatchKeyEvent", type=kind, **given)


def test_faces_are_numbered_in_the_picture_and_in_the_list(page, folder):
    choose(page, folder / "photograph.jpg")
    wait_for(page, f"{count('article .faces li')} == 2")
    assert page.evaluate(count("article rect.box")) == 2
    labels = "[...document.querySelectorAll('article .picture text')].map(t => t.textContent)"
    ages = "[...document.querySelectorAll('article .age')].map(t => t.firstChild.textContent)"
    first, second = page.evaluate(ages)
    left, left_interval, right, _ = page.evaluate(labels)
    assert (left, right) == (f"1: {first}", f"2: {second}")
    assert left_interval in page.evaluate("document.querySelector('.detail').textContent")
    edges = "[...document.querySelectorAll('rect.box')].map(box => Number(box.getAttribute('x')))"
    assert page.evaluate(edges) == sorted(page.evaluate(edges))
    assert page.evaluate(STATUS).startswith(f"photograph.jpg: face 1: about {first} years")
    assert all(url.startswith(("http://127.0.0.1", "data:", "blob:")) for url in page.requests)
    assert page.complaints == []


def test_each_face_has_a_chart_with_an_axis_of_years(page, folder):
    choose(page, folder / "photograph.jpg")
    wait_for(page, f"{count('article .chart')} == 2")
    ticks = "[...document.querySelector('.chart').querySelectorAll('text')].map(t => t.textContent)"
    assert page.evaluate(ticks) == ["0", "20", "40", "60", "80", "100", "120"]
    assert page.evaluate(count(".chart .bar")) > 50
    assert page.evaluate(count(".chart .interval")) == 2
    assert page.evaluate(count(".chart .prediction")) == 2
    # The line of the predicted age is where its axis has the age.
    share = "parseFloat(document.querySelector('.prediction').getAttribute('x1')) / 100"
    age = int(page.evaluate("document.querySelector('.age').firstChild.textContent"))
    assert page.evaluate(share) * 120 == pytest.approx(age, abs=0.5)


def test_what_is_no_photograph_is_said_and_the_others_are_shown(page, folder):
    choose(page, folder / "notes.jpg", folder / "photograph.jpg")
    wait_for(page, f"{count('article')} == 2")
    assert page.evaluate("document.querySelector('article .wrong').textContent") == "not an image"
    assert page.evaluate(count("article .faces li")) == 2


def test_a_photograph_that_is_too_large_is_shrunk_here(page, tmp_path):
    Image.new("RGB", (8000, 6000), "white").save(tmp_path / "wide.jpg")
    choose(page, tmp_path / "wide.jpg")
    wait_for(page, f"{STATUS} == 'wide.jpg: no face found'")


@pytest.mark.parametrize(
    "event",
    [
        "new ClipboardEvent('paste', {clipboardData: data})",
        "new DragEvent('drop', {dataTransfer: data})",
    ],
    ids=["pasted", "dropped"],
)
def test_a_photograph_is_pasted_or_dropped(page, event):
    page.evaluate(
        """(async () => {
            const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 64});
            const blob = await new Promise(ready => canvas.toBlob(ready));
            const data = new DataTransfer();
            data.items.add(new File([blob], 'given.png', {type: 'image/png'}));
            document.dispatchEvent(EVENT);
        })()""".replace("EVENT", event)
    )
    wait_for(page, f"{STATUS}.startsWith('given.png: about ')")


def test_saliency_is_shown_on_request(page, folder):
    choose(page, folder / "photograph.jpg")
    wait_for(page, f"{count('article li button')} == 2")
    assert page.evaluate(count(".saliency")) == 0
    page.evaluate("document.querySelector('article li button').click()")
    wait_for(page, f"{count('.saliency img')} == 1")
    wait_for(page, "document.querySelector('.saliency img').naturalWidth == 64")
    assert page.evaluate("document.querySelector('.scale').textContent") == "littlemuch"
    assert page.evaluate("document.activeElement.className") == "saliency"


def test_the_webcam_is_predicted_live_and_photographed(page):
    page.evaluate("document.getElementById('webcam').click()")
    wait_for(page, count("#boxes rect.box") + " == 2")
    wait_for(page, r"/^\d+ pictures a second$/.test(document.getElementById('rate').textContent)")
    assert page.evaluate(count("#seen .chart")) == 2
    # The camera shows one picture again and again: nothing moves, so that nothing is spread.
    age = "document.querySelector('#seen .age').textContent"
    assert re.fullmatch(r"\d+ ± 0\.0 years", page.evaluate(age))
    label = "document.querySelector('#boxes text').textContent"
    assert re.fullmatch(r"1: \d+ ± 0\.0", page.evaluate(label))
    assert "±: how far" in page.evaluate("document.getElementById('marks').textContent")
    wait_for(page, f"{STATUS}.startsWith('face 1: about ')")
    page.evaluate("document.getElementById('snapshot').click()")
    wait_for(page, f"{count('article .faces li')} == 2")
    page.evaluate("document.getElementById('webcam').click()")
    assert page.evaluate("document.getElementById('live').hidden")
    assert page.evaluate(STATUS) == "the webcam is off"
    assert page.complaints == []


def test_the_page_follows_and_smooths_as_predict_does(page):
    """Two people who come, cross and go, at the irregular times of a webcam."""
    draw, time = random.Random(0), 1000.0
    tracker, frames, expected = Tracker(), [], []
    for step in range(150):
        time += draw.choice((0.04, 0.07, 0.3))
        people = [(4.0 * step, 40.0, 120.0, 120.0), (600.0 - 4 * step, 60.0, 110.0, 115.0)]
        boxes = [box for box in people if draw.random() < 0.8 and step % 50 < 40]
        draw.shuffle(boxes)
        ages = [round(draw.gauss(40, 5), 2) for _ in boxes]
        frames.append((time, [dict(zip("xywh", box, strict=True)) for box in boxes], ages))
        for age, track in zip(ages, tracker.update(boxes, time), strict=True):
            track.age.add(age, time)
            expected.append([track.number, track.age.mean, track.age.std])
    found = page.evaluate(
        """(async () => {
            const { Tracker } = await import("/static/face_tracks.js");
            const tracker = new Tracker();
            return FRAMES.flatMap(([time, boxes, ages]) =>
                tracker.update(boxes, time).map(({ number, age }, place) => {
                    age.add(ages[place], time);
                    return [number, age.mean, age.std];
                }));
        })()""".replace("FRAMES", json.dumps(frames))
    )
    assert tracker.count > 2
    assert [number for number, *_ in found] == [number for number, *_ in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_looks_whole(page, address, folder, width, dark):
    page.open(address + "/docs", width, dark=dark)
    wait_for(page, f"{count('article')} == 5")
    assert page.evaluate(OVERFLOW) == 0
    page.open(address, width, dark=dark)
    choose(page, folder / "photograph.jpg", folder / "notes.jpg")
    wait_for(page, f"{count('article')} == 2")
    page.evaluate("document.querySelector('article li button').click()")
    wait_for(page, f"{count('.saliency img')} == 1")
    assert page.evaluate(OVERFLOW) == 0
    assert all("status of 422" in complaint for complaint in page.complaints)  # of notes.jpg


def test_everything_is_reached_by_keyboard(page, folder):
    """Tab goes from the file chooser to the webcam, a face's button, the API; Enter presses."""
    choose(page, folder / "photograph.jpg")
    wait_for(page, f"{count('article li button')} == 2")
    reached = []
    for _ in range(5):
        press(page, "Tab", 9)
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    asked = "Where did it look?"
    assert reached == ["files", "webcam", asked, asked, "JSON API"]
    page.evaluate("document.querySelector('article li button').focus()")
    press(page, "Enter", 13, "\r")
    wait_for(page, f"{count('.saliency img')} == 1")


def test_the_model_and_its_error_are_named(page):
    text = "document.getElementById('model').textContent"
    wait_for(page, f"{text} != ''")
    assert "test_resnet at 32 pixels" in page.evaluate(text)
    assert "mean error is 5.00 years (95% interval 4.50 to 5.50)" in page.evaluate(text)
    assert "trained on drawn faces" in page.evaluate(text)
    assert "90% of people" in page.evaluate("document.getElementById('coverage').textContent")


def test_over_a_network_it_says_so(page, address):
    """Pictures leave the phone, and browsers allow no webcam; photographs can be taken."""
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    page.open(address.replace("127.0.0.1", ELSEWHERE), 390)
    notice = "document.getElementById('privacy').textContent"
    assert page.evaluate(notice).startswith(f"Pictures go over your network to {ELSEWHERE}, unenc")
    page.evaluate("document.getElementById('webcam').click()")
    wait_for(page, f"{STATUS}.startsWith('browsers allow the webcam only on http://localhost')")
    shown = "getComputedStyle(document.querySelector('label[for=camera]')).display"
    assert page.evaluate(shown) != "none"
    page.send("Emulation.setTouchEmulationEnabled", enabled=False)


def test_a_model_of_age_groups_shows_these(tab, tmp_path, folder):
    groups = Classification("life_stage", [31, 51], ["YOUNG", "MIDDLE", "OLD"], None, 0.0)
    with running(write_model(tmp_path, groups)) as address:
        tab.open(address, 390)
        choose(tab, folder / "photograph.jpg")
        wait_for(tab, f"{count('article .faces li')} == 2")
    assert tab.evaluate("document.querySelector('.age').textContent") in groups.names
    assert tab.evaluate(count(".chart")) == 0


def test_the_page_brings_the_token_and_hides_it(tab, tmp_path, folder):
    token = "0123456789abcdef"
    with running(write_model(tmp_path), token=token) as address:
        tab.open(address, 390)
        wait_for(tab, f"{STATUS}.startsWith('a token is needed')")
        tab.open(f"{address}/docs", 390)  # with another # alone no page is loaded
        tab.open(f"{address}/#token={token}", 390)
        choose(tab, folder / "photograph.jpg")
        wait_for(tab, f"{count('article .faces li')} == 2")
        assert tab.evaluate("location.href") == f"{address}/"
        tab.open(f"{address}/docs", 390)
        tab.open(address, 390)
        wait_for(tab, "document.getElementById('model').textContent != ''")
