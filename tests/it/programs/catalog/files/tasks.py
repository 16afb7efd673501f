import pathlib
import time

import celery

app = celery.Celery(broker="redis+socket://@FOLDER@/broker.sock")
app.conf.broker_connection_retry_on_startup = True


@app.task(name="tasks.slow", ignore_result=True)
def slow():
    pathlib.Path("@FOLDER@/begun").touch()
    time.sleep(3)
    pathlib.Path("@FOLDER@/done").touch()
