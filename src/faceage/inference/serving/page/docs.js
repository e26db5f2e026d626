// Lists what openapi.json describes, without a library from elsewhere.

import { element, make } from "./elements.js";

const api = await (await fetch("/openapi.json")).json();

// The object that a schema is of, or is a list of.
function resolved(schema) {
  const name = (schema?.items ?? schema)?.$ref?.split("/").at(-1);
  return name && api.components.schemas[name];
}

function fields(schema) {
  const rows = Object.entries(resolved(schema)?.properties ?? {}).map(([name, about]) =>
    make("li", {}, make("code", {}, name), about.description ? `: ${about.description}` : "", fields(about)),
  );
  return rows.length ? make("ul", {}, ...rows) : "";
}

function parameter(about) {
  return make("li", {}, make("code", {}, `?${about.name}=${about.schema.default}`), `: ${about.description}`);
}

function answer([status, about]) {
  const content = about.content?.["application/json"]?.schema;
  const text = status === "200" ? "the answer" : about.description;
  return make("li", {}, make("code", {}, status), `: ${text}`, status === "200" ? fields(content) : "");
}

for (const [path, methods] of Object.entries(api.paths).sort()) {
  for (const [method, about] of Object.entries(methods)) {
    const rows = [...(about.parameters ?? []).map(parameter), ...Object.entries(about.responses).map(answer)];
    const title = make("h2", {}, `${method.toUpperCase()} ${path}`);
    element("paths").append(make("article", {}, title, make("p", {}, about.description), make("ul", {}, ...rows)));
  }
}
