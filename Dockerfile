# drainit alone in an image, static, for other images to COPY --from: amd64, arm64, arm/v7, arm/v5, 386, ppc64le, riscv64 and s390x.
#
#   docker build -t drainit:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# And both programs, for the DaemonSet that installs them on nodes (docs/node.md):
#
#   docker build --target node -t drainit-node:0.1.0 .

# On the builder's own processor: nothing is emulated.
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
ARG TARGETVARIANT
# For zig, which links for other processors. The version is that of the base image's Debian.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The second program, for nodes, is built for two.
RUN release/build-static "$TARGETARCH${TARGETVARIANT:+/$TARGETVARIANT}" \
 && case "$TARGETARCH" in amd64 | arm64) release/build-runtime "$TARGETARCH" ;; esac

# The program of each processor in a folder of its own. A release puts those that it has built and tried in this stage's place
# (`--build-context binaries=FOLDER`), so that image and download are the same.
FROM scratch AS binaries
COPY --from=build /src/target/static /

FROM scratch AS node
ARG TARGETARCH
COPY --from=binaries /$TARGETARCH/drainit /$TARGETARCH/drainit-runtime /
ENTRYPOINT ["/drainit-runtime"]

FROM scratch
ARG TARGETARCH
ARG TARGETVARIANT
COPY --from=binaries /$TARGETARCH/$TARGETVARIANT/drainit /drainit
ENTRYPOINT ["/drainit"]
