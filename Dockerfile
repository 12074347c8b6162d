# syntax=docker/dockerfile:1
# botgate alone on a distroless base: no shell, no package manager, user 65532.
#
#   docker build -t botgate .
#   docker run -v ./gateway.toml:/etc/botgate/gateway.toml:ro -v ./certs:/etc/botgate/certs:ro -p 443:8443 botgate
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin botgate \
    && cp target/release/botgate /botgate \
    && mkdir -p /state/keys

# libc and libgcc, certificates of authorities, and nothing else.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /botgate /usr/bin/botgate
# keys.cache_dir = "/var/lib/botgate/keys": a volume here lets a restart during an outage work.
COPY --from=build --chown=65532:65532 --chmod=700 /state /var/lib/botgate
USER 65532:65532
EXPOSE 8443 9090
STOPSIGNAL SIGTERM
# Asks /readyz of admin.listen, which has to be where it is by default: 127.0.0.1:9090.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/bin/botgate", "healthcheck"]
ENTRYPOINT ["/usr/bin/botgate"]
CMD ["run", "--config", "/etc/botgate/gateway.toml"]
