# The app, open to whoever reaches it. docs/sharing.md says how to build and run it.
FROM python:3.12-slim

# Hugging Face runs the image as user 1000, so that is who the folders belong to.
RUN useradd --create-home --uid 1000 catdog
WORKDIR /home/catdog/app

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY LICENSE streamlit_app.py cat_dog_classifier.py ./
COPY .streamlit .streamlit
COPY catdog catdog

# What is trained and what is kept, so that a volume can be put there; the photos' folder stays empty.
ENV CATDOG_PUBLIC=1 \
    CATDOG_RUNS=/home/catdog/kept/runs \
    CATDOG_CACHE=/home/catdog/kept/cache \
    PYTHONUNBUFFERED=1
RUN mkdir -p /home/catdog/kept && chown catdog /home/catdog/kept
USER 1000

EXPOSE 8501
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8501/_stcore/health')"]
CMD ["streamlit", "run", "streamlit_app.py", "--server.address=0.0.0.0", "--server.port=8501"]
