// Where the gateway gives tokens to this page, and Direct Line in the bot's region.
const TOKENS = "https://bot.example.com/directline/token";
const DOMAIN = "https://directline.botframework.com/v3/directline";

// The gateway knows the browser again by a cookie, hence the credentials.
const ask = (url, headers = {}) => fetch(url, { method: "POST", credentials: "include", headers });
const element = document.getElementById("webchat");
const over = (text) => { element.textContent = text; };

async function chat() {
  const first = await ask(TOKENS);
  if (!first.ok) return over(`There is no chat now (${first.status}).`);
  let { token, expires_in } = await first.json();
  let ends = Date.now() + expires_in * 1000;

  const directLine = WebChat.createDirectLine({ domain: DOMAIN, token });
  WebChat.renderWebChat({ directLine }, element);

  // Half-way through a token's life the gateway is asked for the next one.
  async function renew() {
    const next = await ask(`${TOKENS}/refresh`, { authorization: `Bearer ${token}` }).catch(() => undefined);
    const answer = await next?.json().catch(() => undefined);
    if (next?.ok) {
      ({ token, expires_in } = answer);
      ends = Date.now() + expires_in * 1000;
      setTimeout(renew, expires_in * 500);
    } else if (answer?.error?.code === "token_expired" || Date.now() >= ends) {
      directLine.end();
      over("This chat has ended. Load the page again to begin a new one.");
    } else if (next?.status !== 401 && next?.status !== 403) {
      setTimeout(renew, 1000 * (next?.headers.get("retry-after") ?? 30));
    }
    // Else the gateway does not know this session any more. Web Chat goes on with the token that it has.
  }
  setTimeout(renew, expires_in * 500);
}

chat().catch(() => over("There is no chat now."));
