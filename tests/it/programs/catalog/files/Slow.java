import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

public class Slow {
    public static void main(String[] arguments) throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(2);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", @PORT@), 0);
        server.setExecutor(workers);
        server.createContext("/", exchange -> {
            Files.createFile(Path.of("@FOLDER@/begun"));
            try {
                Thread.sleep(3000);
            } catch (InterruptedException interrupted) {
                return;
            }
            byte[] answer = "done\n".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            workers.shutdown();
            try {
                workers.awaitTermination(20, TimeUnit.SECONDS);
            } catch (InterruptedException interrupted) {
                return;
            }
        }));
        server.start();
    }
}
