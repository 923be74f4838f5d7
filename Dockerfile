# Two images from one tree: "specied" runs the bank's and the group manager's
# services and their signers, "specie" the till. Neither holds a key, a PIN or a
# password: those are mounted (see compose.yaml and docs/deploy.md).
#
#   docker build --target specied -t specied .
#   docker build --target specie -t specie .

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV GOFLAGS="-buildvcs=false -trimpath" GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
RUN CGO_ENABLED=0 go build -o /out/specie ./cmd/specie
RUN go build -o /out/ ./cmd/specied ./cmd/specie-ceremony

FROM debian:12.15-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/*
COPY --chmod=0755 contrib/docker/entry.sh contrib/docker/healthy.sh /usr/local/lib/specie/
RUN install -d -m 0755 /specie
# The programs take SIGTERM as process 1; nothing else has to look after them.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/lib/specie/healthy.sh"]

FROM base AS specie
COPY --from=build /out/specie /usr/local/bin/
ENV SPECIE_HEALTH=http://127.0.0.1:8090/livez
EXPOSE 8090 8091
USER 10005:10005
ENTRYPOINT ["/usr/local/lib/specie/entry.sh"]
CMD ["till"]

# SoftHSM is for practice. For a real HSM mount its maker's module (and what it
# reads) and name it in the signer's configuration.
FROM base AS specied
RUN apt-get update \
 && apt-get install -y --no-install-recommends softhsm2 openssl \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/specied /out/specie-ceremony /usr/local/bin/
COPY --chmod=0755 contrib/docker/found.sh /usr/local/lib/specie/
ENV SPECIE_HEALTH=http://127.0.0.1:8080/readyz
EXPOSE 8080 8081
USER 10002:10002
ENTRYPOINT ["/usr/local/lib/specie/entry.sh"]
CMD ["issuer"]
