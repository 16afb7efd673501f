# An image with nothing but drainit, static, for other images to COPY --from: amd64, arm64, arm/v7, arm/v5, 386, ppc64le, riscv64 and
# s390x.
#
#   docker build -t drainit:0.2.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# And both programs, for the DaemonSet that installs them on nodes (docs/node.md):
#
#   docker build --target node -t drainit-node:0.2.0 .

# On the builder's own processor, so that nothing is emulated.
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
ARG TARGETVARIANT
# zig, which links for other processors, is installed into a venv.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The second program, for nodes, is built for amd64 and arm64 alone.
RUN release/build-static "$TARGETARCH${TARGETVARIANT:+/$TARGETVARIANT}" \
 && case "$TARGETARCH" in amd64 | arm64) release/build-runtime "$TARGETARCH" ;; esac

# The program for each processor, in a folder of its own. A release replaces this stage with the programs that it has built and tested
# (`--build-context binaries=FOLDER`), so that the image and the download have the same bytes.
FROM scratch AS binaries
COPY --from=build /src/target/static /

FROM scratch AS node
ARG TARGETARCH
LABEL org.opencontainers.image.title="drainit-node" \
      org.opencontainers.image.description="drainit and drainit-runtime, to be installed on nodes" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /$TARGETARCH/drainit /$TARGETARCH/drainit-runtime /
ENTRYPOINT ["/drainit-runtime"]

# A release adds source, revision and version.
FROM scratch
ARG TARGETARCH
ARG TARGETVARIANT
LABEL org.opencontainers.image.title="drainit" \
      org.opencontainers.image.description="Container init that forwards signals, reaps orphans and exits last" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /$TARGETARCH/$TARGETVARIANT/drainit /drainit
ENTRYPOINT ["/drainit"]
