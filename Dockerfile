# gio_pyro and its command line.
#
#   docker build -t gio-pyro .                                       for the CPU
#   docker build -t gio-pyro --build-arg BASE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime .      for CUDA; --gpus all
#
# TORCH_INDEX is the URL of a package index that torch is taken from first, such as PyTorch's own for CPUs.
ARG BASE=python:3.11-slim
FROM ${BASE}

ARG TORCH_INDEX=""
ENV MPLBACKEND=Agg PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /opt/gio_pyro
COPY . .
RUN if [ -n "${TORCH_INDEX}" ]; then pip install -c constraints.txt --index-url "${TORCH_INDEX}" torch; fi \
    && pip install -c constraints.txt .

RUN useradd --create-home gio
USER gio
WORKDIR /home/gio
ENTRYPOINT ["gio"]
CMD ["train"]
