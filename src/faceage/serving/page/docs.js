// Lists what openapi.json describes, without a library from elsewhere.

const api = await (await fetch("/openapi.json")).json();
const line = (name, text) => Object.assign(document.createElement(name), { textContent: text });

function resolved(schema) {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? api.components.schemas[name] : schema;
}

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, about] of Object.entries(methods)) {
    const article = document.createElement("article");
    article.append(line("h2", `${method.toUpperCase()} ${path}`), line("p", about.description ?? about.summary));
    const list = document.createElement("ul");
    for (const option of about.parameters ?? []) {
      const values = option.schema.enum ? `: ${option.schema.enum.join(", ")}` : "";
      list.append(line("li", `?${option.name}${values}. ${option.description ?? ""}`));
    }
    for (const [status, answer] of Object.entries(about.responses)) {
      const schema = resolved(answer.content?.["application/json"]?.schema);
      const fields = Object.keys(schema?.properties ?? {}).join(", ");
      list.append(line("li", `${status}: ${answer.description}${fields ? ` (${fields})` : ""}`));
    }
    article.append(list);
    document.getElementById("paths").append(article);
  }
}
