// Talk to the studio: JSON in and out; a refusal is an Error with its words.

const csrf = document.querySelector('meta[name="csrf"]').content;

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

export function post(path, body = {}, options = {}) {
  return ask(path, { ...posting(body), ...options });
}

/** Post, and hand on each line of JSON as it comes. */
export async function stream(path, body, each) {
  const response = await open(path, posting(body));
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
