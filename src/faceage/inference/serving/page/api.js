// Pictures go to the program that serves this page, and nowhere else.

const MAX_BYTES = 20 * 2 ** 20; // of a picture that the server takes
const MAX_PIXELS = 24e6;
const KNOWN = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"];
const SHRUNK = 12e6; // pixels of what is sent in the place of a larger one

// A token comes behind the address's #, which browsers send to nobody, and stays with this tab.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname);
}

async function ask(path, picture) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, picture ? { method: "POST", body: picture, headers } : { headers });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `the server answered ${answer.status}`);
}

export const model = async () => (await ask("/v1/model")).json();

// Faces from left to right, each with its `number`, from 1, and `index`, its place in the answer.
export async function predict(picture, detect = "auto") {
  const answer = await (await ask(`/v1/predict?detect=${detect}`, picture)).json();
  const faces = answer.faces.map((face, index) => ({ ...face, index }));
  faces.sort((one, other) => one.x - other.x).forEach((face, place) => (face.number = place + 1));
  return { ...answer, faces };
}

export const saliency = async (picture, index) => (await ask(`/v1/saliency?face=${index}`, picture)).blob();

// Photographs that are too large for the server, or in a format that it may not know, such as the
// HEIC of telephones, are made smaller JPEGs here, if the browser can read them.
export async function acceptable(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return file; // the server will say what is the matter with it
  const pixels = bitmap.width * bitmap.height;
  if (KNOWN.includes(file.type) && pixels <= MAX_PIXELS && file.size <= MAX_BYTES) return file;
  return jpeg(bitmap, Math.min(1, Math.sqrt(SHRUNK / pixels)) * bitmap.width, 0.92);
}

// A JPEG file of a bitmap or a playing video, of so many pixels' width.
export function jpeg(source, width, quality) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width);
  canvas.height = Math.round((width * (source.videoHeight ?? source.height)) / (source.videoWidth ?? source.width));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((ready) => canvas.toBlob(ready, "image/jpeg", quality));
}
