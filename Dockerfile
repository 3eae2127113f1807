# syntax=docker/dockerfile:1

# Upbeat as a container: one binary on distroless, not root, nothing to write to but the volume of its data.
#   docker build -t upbeat . && docker run --read-only -v upbeat-data:/data -p 8080:8080 -p 127.0.0.1:8081:8081 upbeat
# scripts/test-docker-build runs these very commands without an engine.

FROM rust:1.95-bookworm AS build
WORKDIR /build

# Dependencies alone, as a layer that only manifests and Cargo.lock can spoil.
COPY Cargo.toml Cargo.lock ./
COPY crates/batch/Cargo.toml crates/batch/
COPY crates/client/Cargo.toml crates/client/
COPY crates/closed-loop/Cargo.toml crates/closed-loop/
COPY crates/core/Cargo.toml crates/core/
COPY crates/engine/Cargo.toml crates/engine/
COPY crates/ingest/Cargo.toml crates/ingest/
COPY crates/journal/Cargo.toml crates/journal/
COPY crates/learn/Cargo.toml crates/learn/
COPY crates/server/Cargo.toml crates/server/
COPY crates/simulate/Cargo.toml crates/simulate/
COPY crates/svm/Cargo.toml crates/svm/
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && for crate in crates/*; do mkdir "$crate/src" && touch "$crate/src/lib.rs"; done \
    && cargo build --release --locked --features parquet --bin upbeat \
    && rm -r src crates

# What the binary is made of: the sources, and the model and contract that ship inside it.
COPY model ./model
COPY openapi.yaml upbeat.toml ./
COPY crates ./crates
COPY src ./src
# Files keep the times of their checkout, which may be older than the layer above: cargo would think them built.
RUN find src crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --features parquet --bin upbeat \
    && cp "${CARGO_TARGET_DIR:-target}/release/upbeat" /build/upbeat \
    && mkdir /build/data && chmod 700 /build/data

# glibc, libgcc, CA certificates, time zones; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="upbeat" \
      org.opencontainers.image.description="Decides, in the beat before a track starts, whether this listener should hear the ad." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.documentation="README.md" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
# The log and its snapshots. A new volume is made with the owner and the mode of this directory.
COPY --from=build --chown=65532:65532 /build/data /data
COPY --from=build /build/upbeat /upbeat

# Inside a container, loopback is nobody else's: listen on all addresses, and publish the admin port with care.
ENV UPBEAT_LISTEN=0.0.0.0:8080 \
    UPBEAT_ADMIN_LISTEN=0.0.0.0:8081 \
    UPBEAT_LOG_FORMAT=json \
    UPBEAT_DATA_DIR=/data
VOLUME /data
EXPOSE 8080 8081
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/upbeat", "health"]
ENTRYPOINT ["/upbeat"]
CMD ["serve"]
