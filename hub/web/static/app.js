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
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  if (problem.code === "sign-in-again") location.assign(`/sign-in?again=1&next=${encodeURIComponent(location.pathname)}`);
  throw new Error(problem.code || "refused");
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

let waiting, challenged = Promise.resolve();

async function signIn(place, mediation) {
  waiting?.abort();
  const turn = waiting = new AbortController();
  // One after the other: the hub keeps the newest challenge of a session only.
  challenged = challenged.catch(() => {}).then(() => post("/sign-in/passkey/options", place.dataset.csrf));
  const options = await challenged;
  const credential = await navigator.credentials.get({ ...asked(options), mediation, signal: turn.signal });
  const next = place.dataset.next ? `?next=${encodeURIComponent(place.dataset.next)}` : "";
  location.assign((await post(`/sign-in/passkey${next}`, place.dataset.csrf, answered(credential))).next);
}

// Offers passkeys in the field of the name; asked anew before its challenge, good for five minutes, is too old.
async function offer(place) {
  if (!await PublicKeyCredential.isConditionalMediationAvailable?.()) return;
  const failed = (error) => { if (error.name !== "AbortError") failure(place, error); };
  const arm = () => signIn(place, "conditional").catch(failed);
  const again = setInterval(arm, 240000);
  place.querySelector("button").addEventListener("click", () => clearInterval(again), { once: true });
  arm();
}

async function register(place) {
  const options = await post("/account/passkeys/options", place.dataset.csrf);
  await post("/account/passkeys", place.dataset.csrf, answered(await navigator.credentials.create(asked(options))));
  location.assign("/account?added=1#passkeys");
}

function failure(place, error) {
  const status = place.querySelector("[role=status]");
  status.textContent = error.message === "not-verified" ? status.dataset.unverified : status.dataset.failed;
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  place.hidden = false;
  const fallback = document.querySelector("details.fallback");
  if (fallback && !("keep" in fallback.dataset)) fallback.open = false;
  place.querySelector("button").addEventListener("click", async () => {
    place.querySelector("[role=status]").textContent = "";
    try {
      await (place.dataset.passkey === "register" ? register(place) : signIn(place));
    } catch (error) {
      failure(place, error);
      if (fallback) fallback.open = true;
    }
  });
  if (place.dataset.passkey === "sign-in") offer(place);
}
