"use strict";
// Everything that comes from the server is put in place as text, never as markup.

const base = location.pathname.replace(/\/docs\/?$/, "");

function node(name, text, cls) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (cls) made.className = cls;
  return made;
}

function tokenField(auth) {
  return [...document.querySelectorAll("[data-token]")].find((one) => one.dataset.token === auth);
}

// --- the request of a form

function texts(field) {
  const lines = "many" in field.dataset ? field.value.split("\n") : [field.value];
  return lines.filter((line) => line !== "");
}

async function bodyOf(form, headers) {
  const body = form.querySelector('[data-in="body"]');
  if (form.querySelector("[data-form]")) {
    const pairs = new URLSearchParams();
    for (const field of form.querySelectorAll('[data-in="form"]')) {
      for (const text of texts(field)) pairs.append(field.dataset.name, text);
    }
    headers.set("Content-Type", "application/x-www-form-urlencoded");
    return pairs.toString();
  }
  if (!body) return undefined;
  const file = form.querySelector('[data-in="file"]');
  const chosen = file && file.files.length ? file.files[0] : null;
  if (!chosen && body.value === "") return undefined;
  const media = form.querySelector('[data-in="media"]');
  headers.set("Content-Type", body.dataset.media || media.value || "application/octet-stream");
  return chosen || body.value;
}

async function requestOf(form) {
  const headers = new Headers();
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    const name = field.dataset.name;
    for (const text of texts(field)) {
      if (field.dataset.in === "path") path = path.replace(`{${name}}`, () => encodeURIComponent(text));
      if (field.dataset.in === "query") query.append(name, text);
      if (field.dataset.in === "header") headers.append(name, text);
    }
  }
  const auth = form.dataset.auth;
  const field = auth === undefined ? undefined : tokenField(auth);
  if (field && field.value.trim()) headers.set("Authorization", `Bearer ${field.value.trim()}`);
  const body = await bodyOf(form, headers);
  const search = query.toString();
  const url = base + path + (search ? `?${search}` : "");
  return { url, options: { method: form.dataset.method, headers, body, credentials: "omit" } };
}

// --- its answer

async function shownBody(reply) {
  const bytes = await reply.arrayBuffer();
  if (bytes.byteLength === 0) return "";
  const type = (reply.headers.get("Content-Type") || "").split(";")[0].trim().toLowerCase();
  const json = type === "application/json" || type.endsWith("+json");
  if (!json && !type.startsWith("text/")) return `${bytes.byteLength} bytes of ${type || "no type"}`;
  const text = new TextDecoder().decode(bytes);
  if (!json) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function pre(text) {
  const made = node("pre");
  made.tabIndex = 0;
  made.append(node("code", text));
  return made;
}

function details(title, text) {
  const made = node("details");
  made.append(node("summary", title), pre(text));
  return made;
}

async function show(answer, request, reply, took) {
  const body = await shownBody(reply);
  const line = node("p");
  line.append(
    node("span", `${reply.status} ${reply.statusText}`.trim(), `status ${reply.ok ? "ok" : "failed"}`),
    ` in ${took} ms`,
  );
  answer.replaceChildren(line);
  if (reply.redirected) answer.append(node("p", `After a redirect to ${reply.url}`));
  const correlation = reply.headers.get("X-Correlation-Id");
  if (correlation) {
    const id = node("p", "Correlation ID ");
    id.append(node("code", correlation), "; what it caused: ", node("code", `wherry timeline ${correlation}`));
    answer.append(id);
  }
  if (body) answer.append(pre(body));
  answer.append(
    details("Headers", [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n")),
  );
}

async function send(form) {
  const answer = document.getElementById(form.dataset.answer);
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const { url, options } = await requestOf(form);
    const began = performance.now();
    const reply = await fetch(url, options);
    await show(answer, url, reply, Math.round(performance.now() - began));
  } catch (error) {
    const text = `There is no answer that this page may read (${error.message}).`;
    answer.replaceChildren(node("p", text, "failed"));
  } finally {
    button.disabled = false;
  }
}

// --- log-in

async function enter(form, what) {
  const state = document.getElementById(form.dataset.state);
  const given = { username: form.elements.username.value, password: form.elements.password.value };
  state.className = "state";
  state.textContent = "...";
  try {
    const reply = await fetch(`${base}${form.dataset.issuer}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(given),
      credentials: "omit",
    });
    const found = await reply.json();
    if (!reply.ok) {
      const faults = (found.faults || []).map((one) => `${one.at} ${one.fault}`).join("; ");
      throw new Error([found.detail, faults].filter(Boolean).join(" "));
    }
    tokenField(form.dataset.auth).value = found.access_token;
    form.elements.password.value = "";
    state.textContent = `The token of ${given.username} is in place.`;
    state.classList.add("ok");
  } catch (error) {
    state.textContent = error.message;
    state.classList.add("failed");
  }
}

for (const one of document.querySelectorAll(".try")) one.hidden = false;
document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.dataset.issuer) enter(form, event.submitter ? event.submitter.value : "log-in");
  else if (form.dataset.path) send(form);
});
if (matchMedia("(max-width: 60rem)").matches) {
  const contents = document.querySelector("nav details");
  if (contents) contents.open = false;
}
