# Both programs without libtorch on Debian.
#
#   docker build -t zerodte .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" zerodte demo
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" --entrypoint train_historical_model zerodte --help
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --no-default-features --bins \
    && strip target/release/zerodte target/release/train_historical_model

FROM debian:bookworm-slim
COPY --from=build /src/target/release/zerodte /src/target/release/train_historical_model /usr/local/bin/
COPY configs /usr/share/zerodte/configs
WORKDIR /work
ENTRYPOINT ["zerodte"]
