"""An echo agent on the Microsoft 365 Agents SDK, set up the way the SDK's samples set one up and knowing nothing of any gateway or test.

Credentials come from the environment, authentication is on, the endpoint is /api/messages. It says each turn in one line.
"""

import json
from os import environ

from aiohttp.web import Application, Request, Response, run_app
from microsoft_agents.activity import load_configuration_from_env
from microsoft_agents.authentication.msal import MsalConnectionManager
from microsoft_agents.hosting.aiohttp import (
    CloudAdapter,
    jwt_authorization_middleware,
    start_agent_process,
)
from microsoft_agents.hosting.core import (
    AgentApplication,
    Authorization,
    MemoryStorage,
    TurnContext,
    TurnState,
)

CONFIG = load_configuration_from_env(environ)
STORAGE = MemoryStorage()
CONNECTION_MANAGER = MsalConnectionManager(**CONFIG)
ADAPTER = CloudAdapter(connection_manager=CONNECTION_MANAGER)
AUTHORIZATION = Authorization(STORAGE, CONNECTION_MANAGER, **CONFIG)


class EchoAgent(AgentApplication[TurnState]):
    async def on_turn(self, context: TurnContext):
        print(json.dumps({"event": "turn", "id": context.activity.id}), flush=True)
        await super().on_turn(context)


AGENT = EchoAgent(
    storage=STORAGE, adapter=ADAPTER, authorization=AUTHORIZATION, **CONFIG
)


@AGENT.activity("message")
async def on_message(context: TurnContext, _state: TurnState):
    await context.send_activity(f"Echo: {context.activity.text}")


async def messages(request: Request) -> Response:
    return await start_agent_process(request, AGENT, ADAPTER)


APP = Application(middlewares=[jwt_authorization_middleware])
APP.router.add_post("/api/messages", messages)
APP["agent_configuration"] = CONNECTION_MANAGER.get_default_connection_configuration()
APP["agent_app"] = AGENT
APP["adapter"] = ADAPTER

if __name__ == "__main__":
    run_app(APP, host="127.0.0.1", port=int(environ["PORT"]))
