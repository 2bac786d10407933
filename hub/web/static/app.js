// Comforts only: every page works without this file. Print buttons, file drop, scanned codes, passkeys.
"use strict";

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

for (const form of document.querySelectorAll("[data-drop]")) {
  const input = form.querySelector("input[type=file]");
  form.classList.add("scripted");
  input.addEventListener("change", () => { if (input.files.length === 1) form.requestSubmit(); });
  const over = (on) => form.classList.toggle("over", on);
  form.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  form.addEventListener("dragleave", () => over(false));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length === 1) {
      input.files = event.dataTransfer.files;
      form.requestSubmit();
    }
  });
}

for (const form of document.querySelectorAll("[data-code]")) {
  const take = () => {
    const scanned = location.hash.slice(1);
    if (!/^\d{9}$/.test(scanned)) return;
    form.querySelector("#code").value = scanned;
    history.replaceState(null, "", location.pathname);
  };
  take();
  window.addEventListener("hashchange", take);
}

for (const form of document.querySelectorAll("[data-asking]")) {
  const input = form.querySelector("input[type=search]");
  let waiting, asked = 0;
  const ask = async () => {
    const path = `${form.getAttribute("action")}?q=${encodeURIComponent(input.value.trim())}`;
    const turn = ++asked;
    const answer = await fetch(path);
    if (!answer.ok || turn !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("found").replaceChildren(...page.getElementById("found").childNodes);
    history.replaceState(null, "", path);
  };
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 200); });
}

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function post(path, csrf, body) {
  const answer = await fetch(path, {
    method: "POST", body: body === undefined ? undefined : JSON.stringify(body),
    headers: { "X-CSRF-Token": csrf, "Content-Type": "application/json" },
  });
  if (!answer.ok) throw new Error("refused");
  return answer.json();
}

function asked(options) {
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const known of [...(options.allowCredentials || []), ...(options.excludeCredentials || [])]) known.id = bytes(known.id);
  return { publicKey: options };
}

function answered(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: credential.getClientExtensionResults() };
}

async function signIn(place) {
  const options = await post("/sign-in/passkey/options", place.dataset.csrf);
  const credential = await navigator.credentials.get(asked(options));
  const next = place.dataset.next ? `?next=${encodeURIComponent(place.dataset.next)}` : "";
  location.assign((await post(`/sign-in/passkey${next}`, place.dataset.csrf, answered(credential))).next);
}

async function register(place, status) {
  const options = await post("/account/passkeys/options", place.dataset.csrf);
  await post("/account/passkeys", place.dataset.csrf, answered(await navigator.credentials.create(asked(options))));
  status.textContent = status.dataset.done;
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  place.hidden = false;
  const status = place.querySelector("[role=status]");
  place.querySelector("button").addEventListener("click", async () => {
    status.textContent = "";
    try {
      await (place.dataset.passkey === "register" ? register(place, status) : signIn(place));
    } catch {
      status.textContent = status.dataset.failed;
    }
  });
}
