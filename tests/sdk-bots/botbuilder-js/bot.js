'use strict';
// An echo bot on Microsoft's own SDK, set up the way the SDK's samples set one up and knowing nothing of any
// gateway or test: credentials come from the environment, authentication is on, the endpoint is /api/messages.
// It says each turn in one line, as bots do. What else is observed from outside stands in count.js, so that this file stays what a
// bot owner would run.

const express = require('express');
const {
    ActivityHandler,
    CloudAdapter,
    ConfigurationBotFrameworkAuthentication,
    MessageFactory
} = require('botbuilder');

class EchoBot extends ActivityHandler {
    constructor() {
        super();
        this.onTurn(async (context, next) => {
            console.log(JSON.stringify({ event: 'turn', id: context.activity.id }));
            await next();
        });
        this.onMessage(async (context, next) => {
            const text = `Echo: ${ context.activity.text }`;
            await context.sendActivity(MessageFactory.text(text, text));
            await next();
        });
    }

    // `adaptiveCard/action`: the SDK has checked the value and wraps this in an invoke response of status 200.
    async onAdaptiveCardInvoke(context, invokeValue) {
        return {
            statusCode: 200,
            type: 'application/vnd.microsoft.activity.message',
            value: `${ invokeValue.action.verb } for ${ context.activity.from.name }`
        };
    }

    // Any other invoke: handed back with a status of its own, so that an answer made up on the way would show.
    async onInvokeActivity(context) {
        if (context.activity.name === 'echo/invoke') {
            return { status: 203, body: { name: context.activity.name, value: context.activity.value } };
        }
        return await super.onInvokeActivity(context);
    }
}

const adapter = new CloudAdapter(new ConfigurationBotFrameworkAuthentication(process.env));
adapter.onTurnError = async (context, error) => {
    console.error(`[onTurnError] unhandled error: ${ error.stack }`);
    await context.sendActivity('The bot encountered an error or bug.');
};

const bot = new EchoBot();
const server = express();
server.use(express.json());
server.post('/api/messages', async (req, res) => {
    await adapter.process(req, res, (context) => bot.run(context));
});

const port = process.env.PORT || 3978;
const listening = server.listen(port, () => console.log(`The bot listens on port ${ port }`));

// Streaming, as the samples have it: each such connection has an adapter of its own.
listening.on('upgrade', async (req, socket, head) => {
    const streaming = new CloudAdapter(new ConfigurationBotFrameworkAuthentication(process.env));
    streaming.onTurnError = adapter.onTurnError;
    await streaming.process(req, socket, head, (context) => bot.run(context));
});
