"""An echo bot on Microsoft's own SDK, set up the way the SDK's samples set one up and knowing nothing of any gateway or test.

Credentials come from the environment, authentication is on, the endpoint is /api/messages. It says each turn in one line.
"""

import json
import os
import sys
import traceback

from aiohttp import web
from aiohttp.web import Request, Response
from botbuilder.core import ActivityHandler, TurnContext
from botbuilder.core.integration import aiohttp_error_middleware
from botbuilder.integration.aiohttp import (
    CloudAdapter,
    ConfigurationBotFrameworkAuthentication,
)


class Config:
    PORT = int(os.environ["PORT"])
    APP_ID = os.environ["MicrosoftAppId"]
    APP_PASSWORD = os.environ["MicrosoftAppPassword"]
    APP_TYPE = os.environ["MicrosoftAppType"]
    APP_TENANTID = os.environ["MicrosoftAppTenantId"]


class EchoBot(ActivityHandler):
    async def on_turn(self, turn_context: TurnContext):
        print(
            json.dumps({"event": "turn", "id": turn_context.activity.id}), flush=True
        )
        await super().on_turn(turn_context)

    async def on_message_activity(self, turn_context: TurnContext):
        await turn_context.send_activity(f"Echo: {turn_context.activity.text}")


async def on_error(context: TurnContext, error: Exception):
    print(f"[on_turn_error] unhandled error: {error}", file=sys.stderr)
    traceback.print_exc()
    await context.send_activity("The bot encountered an error or bug.")


ADAPTER = CloudAdapter(ConfigurationBotFrameworkAuthentication(Config()))
ADAPTER.on_turn_error = on_error
BOT = EchoBot()


async def messages(request: Request) -> Response:
    return await ADAPTER.process(request, BOT)


APP = web.Application(middlewares=[aiohttp_error_middleware])
APP.router.add_post("/api/messages", messages)

if __name__ == "__main__":
    web.run_app(APP, host="127.0.0.1", port=Config.PORT)
