# One image for every node; docker-compose.yml runs four of it.
#   docker build --build-arg BASE_IMAGE=python:3.12-slim -t evmesh .
ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE}

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY node ./node
COPY network ./network
# wheels only: the image needs no compiler
RUN pip install --no-cache-dir --only-binary=:all: --no-binary=evmesh . && rm -rf /src/*

# The native EVM is compiled here, once for all containers; on another kind of processor a node does it again.
ENV EVMESH_CACHE_DIR=/opt/evmesh
RUN python -c "from node.evm.native.choice import Evm, machine; machine(Evm.AUTO, print)" \
    && find /opt/evmesh -type d -exec chmod 755 {} + && find /opt/evmesh -type f -exec chmod 644 {} +

# A new volume takes the owner of the folder it is mounted on, so these folders belong to the user that runs.
RUN useradd --create-home --uid 10001 evmesh \
    && mkdir -p /data /cluster/n0 /cluster/n1 /cluster/n2 /cluster/n3 \
    && chown -R evmesh:evmesh /data /cluster
USER evmesh
WORKDIR /home/evmesh

EXPOSE 8545 30303
ENV PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8545/health', timeout=2)"]
CMD ["python", "-m", "node", "--config", "/data/node.toml"]
