# spillway as a sidecar: a non-root user, a read-only root, nothing to write to, and no shell needed.
#   docker build -t spillway .
#   docker run --read-only -p 8080:8080 -e SPILLWAY_UPSTREAM=app:3000 spillway
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
      g++ cmake ninja-build pkg-config libevent-dev libre2-dev libyaml-cpp-dev libssl-dev node-llhttp libcli11-dev \
      libspdlog-dev libfmt-dev nlohmann-json3-dev libxxhash-dev libexpected-dev libc-ares-dev libmaxminddb-dev libnghttp2-dev prometheus-cpp-dev zlib1g-dev \
  && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN cmake -S /src -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSPILLWAY_TESTS=OFF \
  && cmake --build /build --target spillway \
  && strip /build/proxy/spillway

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \
      libevent-2.1-7 libre2-9 libyaml-cpp0.7 libssl3 libspdlog1.10 libfmt9 libxxhash0 libc-ares2 libmaxminddb0 libnghttp2-14 libprometheus-cpp-core1.0 zlib1g \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/proxy/spillway /usr/bin/spillway
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s CMD ["/usr/bin/spillway", "healthcheck"]
ENTRYPOINT ["/usr/bin/spillway"]
CMD ["run"]
