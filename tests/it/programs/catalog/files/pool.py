import multiprocessing
import pathlib
import signal
import time


def task(number):
    pathlib.Path(f"begun-{number}").touch()
    time.sleep(3)
    pathlib.Path(f"done-{number}").touch()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with multiprocessing.Pool(2, signal.pthread_sigmask, (signal.SIG_UNBLOCK, [signal.SIGTERM])) as pool:
        pool.map_async(task, [1, 2], chunksize=1)
        while not all(pathlib.Path(f"begun-{number}").exists() for number in (1, 2)):
            time.sleep(0.01)
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        pathlib.Path("begun").touch()
        while not stop:
            time.sleep(0.1)
        pool.close()
        pool.join()
