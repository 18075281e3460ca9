# Letterlock's image: the pinned Node, production packages, dist/ and config/. docs/operating.md walks from a build to a
# server; scripts/image builds and tries it where there is no container engine.
#
#     docker build --tag letterlock .
#     docker build --tag letterlock --secret id=npmrc,src=$HOME/.npmrc --secret id=ca,src=ca.pem .
#
# The second is for a private npm registry: npm's own configuration, and the authority that signed its certificate. Both
# are there while packages are installed, and in no layer. Any Debian from 12 on does as BASE.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends binutils ca-certificates libatomic1 npm >/dev/null
WORKDIR /opt/letterlock
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    [ ! -s /run/secrets/ca ] || export NODE_EXTRA_CA_CERTS=/run/secrets/ca; \
    npm ci --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN PATH="$PWD/node_modules/.bin:$PATH" tsc -p tsconfig.build.json --sourceMap false \
 && npm prune --omit=dev --offline --loglevel=error
# Node without headers and without the symbols that only a debugger reads; its licence stays beside it.
RUN install -D node_modules/node-linux-*/bin/node /runtime/bin/node \
 && install -D -m 644 node_modules/node-linux-*/LICENSE /runtime/share/doc/node/LICENSE \
 && strip --strip-unneeded /runtime/bin/node \
 && rm -r node_modules/node-linux-* node_modules/.bin
# Of the packages goes what Node cannot load, TypeScript and maps, or does not: dist-es is for bundlers, while "main" and
# the condition "node" name dist-cjs. What is left must load.
RUN find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete \
 && find node_modules -type d \( -name dist-es -o -name dist-types \) -prune -exec rm -r {} + \
 && find node_modules -depth -type d -empty -delete \
 && /runtime/bin/node --eval 'Object.keys(require("./package.json").dependencies).forEach((name) => require(name))'
# The one way in, for the server and for `docker exec` alike: no core dumps, which would hold opened keys and clear mail;
# no debugger on SIGUSR1; a young generation that keeps little of what died (scripts/lib/start.sh).
RUN printf '%s\n' \
      '#!/usr/bin/env -S prlimit --core=0:0 node --disable-sigusr1 --max-semi-space-size=8' \
      "import './dist/main.js';" >letterlock \
 && chmod 755 letterlock

FROM ${BASE}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Letterlock" \
      org.opencontainers.image.description="SMTP and IMAP server that seals every message under a key its owner's organization controls" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Node's one library that not every Debian has. The uid is fixed, since what lies in volumes belongs to it.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends libatomic1 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
 && groupadd --gid 10025 letterlock \
 && useradd --uid 10025 --gid 10025 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin letterlock \
 && install -d -o 10025 -g 10025 -m 700 /var/lib/letterlock /var/lib/letterlock-keys \
 && install -d /etc/letterlock \
 && ln -s /opt/letterlock/letterlock /usr/local/bin/letterlock
COPY --from=build /runtime /usr/local
COPY --from=build /opt/letterlock/package.json /opt/letterlock/letterlock /opt/letterlock/
COPY LICENSE /opt/letterlock/
COPY --from=build /opt/letterlock/node_modules /opt/letterlock/node_modules
COPY config /opt/letterlock/config
COPY --from=build /opt/letterlock/dist /opt/letterlock/dist

# Ports above 1023, which a user without capabilities may bind under every engine: Docker opens the lower ones in its own
# network namespaces only, Kubernetes not everywhere, and CAP_NET_BIND_SERVICE reaches no user but root without a file
# capability, which `no-new-privileges` voids. Publish them under their numbers less 2000: clients are told those.
# Health, client settings and metrics are for whoever may reach the container: publish them to whom they concern.
ENV LETTERLOCK_LISTENERS_MX_PORT=2025 \
    LETTERLOCK_LISTENERS_LMTP_PORT=2024 \
    LETTERLOCK_LISTENERS_SUBMISSION_PORT=2587 \
    LETTERLOCK_LISTENERS_SUBMISSIONS_PORT=2465 \
    LETTERLOCK_LISTENERS_IMAP_PORT=2143 \
    LETTERLOCK_LISTENERS_IMAPS_PORT=2993 \
    LETTERLOCK_LISTENERS_HTTP_HOST=:: \
    LETTERLOCK_LISTENERS_HTTP_PORT=2080 \
    LETTERLOCK_LISTENERS_METRICS_HOST=:: \
    LETTERLOCK_LISTENERS_METRICS_PORT=2064 \
    LETTERLOCK_AUTOCONFIG_IMAP_PORT=993 \
    LETTERLOCK_AUTOCONFIG_SMTP_PORT=465 \
    LETTERLOCK_DATA_DIRECTORY=/var/lib/letterlock \
    LETTERLOCK_KEYS_DIRECTORY=/var/lib/letterlock-keys \
    MALLOC_ARENA_MAX=2
EXPOSE 2025 2587 2465 2143 2993 2080 2064
# Nothing else is ever written: the root file system may be read-only, and there is no need of a tmpfs.
VOLUME /var/lib/letterlock /var/lib/letterlock-keys
USER 10025:10025
WORKDIR /var/lib/letterlock
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["letterlock", "health"]
ENTRYPOINT ["letterlock"]
CMD ["serve"]
