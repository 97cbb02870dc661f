// Talk to the studio: JSON in and out; a refusal is an Error with its words.

let csrf = document.querySelector('meta[name="csrf"]').content;

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function get(path, query = {}, signal = undefined) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null)).toString();
  return ask(text ? `${path}?${text}` : path, { signal });
}

export async function post(path, body = {}) {
  return (await change(path, body)).json();
}

/** Post, and hand on each line of JSON as it comes. */
export async function stream(path, body, each) {
  const response = await change(path, body);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) each(JSON.parse(line));
  }
}

const posting = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", "X-Seedtune-CSRF": csrf },
  body: JSON.stringify(body),
});

const ask = async (path, options) => JSON.parse(await (await open(path, options)).text());

/** Post; a studio that was started again since the page was loaded has another secret, which its pages tell. */
async function change(path, body) {
  try {
    return await open(path, posting(body));
  } catch (problem) {
    if (problem.status !== 403) throw problem;
    const page = new DOMParser().parseFromString(await (await open("/")).text(), "text/html");
    csrf = page.querySelector('meta[name="csrf"]').content;
    return open(path, posting(body));
  }
}

/** The response, if it is no refusal. */
async function open(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Refusal("the studio does not answer; is it still running?", 0);
  }
  if (response.ok) return response;
  const text = await response.text();
  let said = text.trim();
  try {
    said = JSON.parse(text).error ?? said;
  } catch { /* words, not JSON */ }
  throw new Refusal(said, response.status);
}
