'use strict';
// Preloaded with `node -r ./count.js bot.js`: says on stdout, as one JSON line, what reached the bot's HTTP server.
// It hears Node's own diagnostics channel, before any framework or SDK code sees the request, and changes nothing.

const { subscribe } = require('node:diagnostics_channel');

subscribe('http.server.request.start', ({ request }) => {
    const { method, url, headers } = request;
    console.log(JSON.stringify({ event: 'bot_saw', method, url, request_id: headers['x-request-id'] }));
});
