package org.apache.kafka.tools; // where the classes behind kafka-topics can be seen

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

/**
 * Topics created with Kafka's own classes in one JVM: CreateTopics tool|client PROPERTIES FILE.
 *
 * FILE has a line "NAME PARTITIONS REPLICATION KEY=VALUE" for each topic. "tool" calls what kafka-topics --create calls, once a
 * topic, over one connection; "client" hands all of them to the admin client in one call, as no tool of Kafka's does.
 */
public class CreateTopics {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (var in = Files.newInputStream(Path.of(arguments[1]))) {
            properties.load(in);
        }
        List<String> lines = Files.readAllLines(Path.of(arguments[2]));
        try (Admin admin = Admin.create(properties)) {
            if (arguments[0].equals("tool")) withTheTool(admin, lines);
            else withTheClient(admin, lines);
        }
    }

    private static void withTheTool(Admin admin, List<String> lines) throws Exception {
        TopicCommand.TopicService service = new TopicCommand.TopicService(admin);
        for (String line : lines) {
            String[] words = line.split(" ");
            service.createTopic(new TopicCommand.TopicCommandOptions(new String[] {
                "--bootstrap-server", "unused:1", "--create", "--topic", words[0], "--partitions", words[1],
                "--replication-factor", words[2], "--config", words[3]}));
        }
    }

    private static void withTheClient(Admin admin, List<String> lines) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (String line : lines) {
            String[] words = line.split(" ");
            String[] config = words[3].split("=");
            topics.add(new NewTopic(words[0], Integer.parseInt(words[1]), Short.parseShort(words[2]))
                .configs(Map.of(config[0], config[1])));
        }
        admin.createTopics(topics).all().get();
    }
}
