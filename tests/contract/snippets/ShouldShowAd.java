import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** Asks Upbeat before playback. No answer in time means no ad. Java 11 or later, nothing to install. */
public final class ShouldShowAd {
    private static final Duration TIMEOUT = // what the beat before a track can spare
        Duration.ofMillis(Long.parseLong(System.getenv().getOrDefault("AD_TIMEOUT_MS", "50")));

    private final HttpClient client = // keeps connections alive; share it
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).build();
    private final String base;

    public ShouldShowAd(String address) {
        base = "http://" + address + "/should-show-ad/";
    }

    public boolean ask(String customer) {
        try {
            var uri = URI.create(base + URLEncoder.encode(customer, StandardCharsets.UTF_8).replace("+", "%20"));
            var response = client.send(HttpRequest.newBuilder(uri).timeout(TIMEOUT).build(), BodyHandlers.ofString());
            // Any JSON library will do; "show" is the only field that playback needs.
            return response.statusCode() == 200 && response.body().contains("\"show\":true");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        } catch (Exception e) {
            return false;
        }
    }

    public static void main(String[] args) {
        var upbeat = new ShouldShowAd(args[0]);
        for (int i = 1; i < args.length; i++) {
            System.out.println(args[i] + " " + upbeat.ask(args[i]));
        }
    }
}
