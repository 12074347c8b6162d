# syntax=docker/dockerfile:1
# The echo bot of tests/sdk-bots/botbuilder-js.
FROM node:20-bookworm-slim
WORKDIR /bot
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY bot.js ./
# `node` of the base image.
USER 1000:1000
EXPOSE 3978
CMD ["node", "bot.js"]
