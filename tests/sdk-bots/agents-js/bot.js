'use strict';
// An echo agent on the Microsoft 365 Agents SDK, set up the way the SDK's samples set one up and knowing nothing of any gateway or
// test: credentials come from the environment, authentication is on, the endpoint is /api/messages. It says each turn in one line.

const { AgentApplication, MemoryStorage } = require('@microsoft/agents-hosting');
const { startServer } = require('@microsoft/agents-hosting-express');

class EchoAgent extends AgentApplication {
    async run(context) {
        console.log(JSON.stringify({ event: 'turn', id: context.activity.id }));
        await super.run(context);
    }
}

const agent = new EchoAgent({ storage: new MemoryStorage() });

agent.onActivity('message', async (context) => {
    await context.sendActivity(`Echo: ${ context.activity.text }`);
});

startServer(agent);
