'use strict';
// Headless Chromium for tests/web_chat: takes one JSON command a line, answers each with one JSON line.
// Each `session` is a browser session of its own, as another person's would be. It keeps everything that the network brought into it.

const { chromium } = require('playwright-core');
const { createInterface } = require('node:readline');

const sessions = new Map();
const PATIENCE = 20_000;

const commands = {
    // Opens an address in a session, which begins if there is none of that name.
    async open(browser, { session, url }) {
        if (!sessions.has(session)) {
            // The certificate authority of this run is nobody's but the test's.
            const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 480, height: 720 } });
            const heard = [];
            const page = await context.newPage();
            page.on('console', message => heard.push(`console ${ message.text() }`));
            page.on('websocket', socket => {
                heard.push(`websocket ${ socket.url() }`);
                socket.on('framereceived', ({ payload }) => heard.push(String(payload)));
            });
            page.on('response', response => {
                heard.push(`${ response.status() } ${ response.url() }`);
                // Bodies come later, and some never: those of preflights and of pages that were left.
                const rest = Promise.all([response.allHeaders(), response.text()]);
                rest.then(([headers, text]) => heard.push(JSON.stringify(headers), text), () => {});
            });
            sessions.set(session, { context, page, heard });
        }
        await sessions.get(session).page.goto(url, { timeout: PATIENCE });
    },
    // What a function of the page's own world returns, written as the body of one.
    run: (_, { session, script }) => sessions.get(session).page.evaluate(`(async () => { ${ script } })()`),
    // Types into Web Chat and sends, as a person does.
    async say(_, { session, text }) {
        const box = sessions.get(session).page.locator('[data-id="webchat-sendbox-input"]');
        await box.fill(text, { timeout: PATIENCE });
        await box.press('Enter');
    },
    // Waits until a text can be seen.
    see: (_, { session, text }) => sessions.get(session).page.getByText(text, { exact: true })
        .filter({ visible: true }).first().waitFor({ state: 'visible', timeout: PATIENCE }),
    async picture(_, { session, path }) {
        await sessions.get(session).page.screenshot({ path });
    },
    // Everything that came into a session or lies in it, as one text.
    async everything(_, { session }) {
        const { context, page, heard } = sessions.get(session);
        const stored = await page.evaluate(`(async () => JSON.stringify([
            { ...localStorage }, { ...sessionStorage }, await indexedDB.databases(), document.cookie, document.documentElement.outerHTML
        ]))()`);
        return [...heard, stored, JSON.stringify(await context.cookies())].join('\n');
    }
};

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM,
        args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-proxy-server', '--disable-background-networking']
    });
    for await (const line of createInterface({ input: process.stdin })) {
        const command = JSON.parse(line);
        let answer;
        try {
            answer = { value: await commands[command.do](browser, command) ?? null };
        } catch (error) {
            answer = { error: String(error) };
        }
        process.stdout.write(`${ JSON.stringify(answer) }\n`);
    }
    await browser.close();
}

main();
