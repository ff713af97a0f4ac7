import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.metadata.placement.UsableBroker;
import org.apache.kafka.tools.reassign.ReassignPartitionsCommand;

/**
 * What kafka-reassign-partitions --generate proposes, without a cluster: the tool's own calculateAssignment on a file.
 *
 * In: a line "b ID RACK" for each broker it may use, a line "p TOPIC PARTITION ID,ID,…" for each partition.
 * Out: the "p" lines as the tool would have them. On stderr: milliseconds of the calculation alone.
 */
public class ReassignGenerate {
    @SuppressWarnings("unchecked")
    public static void main(String[] arguments) throws Exception {
        List<UsableBroker> brokers = new ArrayList<>();
        Map<TopicPartition, List<Integer>> current = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] words = line.split(" ");
            if (words[0].equals("b")) {
                brokers.add(new UsableBroker(Integer.parseInt(words[1]), Optional.of(words[2]), false));
            } else {
                List<Integer> replicas = new ArrayList<>();
                for (String id : words[3].split(",")) replicas.add(Integer.parseInt(id));
                current.put(new TopicPartition(words[1], Integer.parseInt(words[2])), replicas);
            }
        }
        Method calculate = ReassignPartitionsCommand.class.getDeclaredMethod("calculateAssignment", Map.class, List.class);
        calculate.setAccessible(true);
        long began = System.nanoTime();
        Map<TopicPartition, List<Integer>> proposed = (Map<TopicPartition, List<Integer>>) calculate.invoke(null, current, brokers);
        System.err.println((System.nanoTime() - began) / 1_000_000);
        StringBuilder out = new StringBuilder();
        for (Map.Entry<TopicPartition, List<Integer>> entry : proposed.entrySet()) {
            out.append("p ").append(entry.getKey().topic()).append(' ').append(entry.getKey().partition()).append(' ');
            for (int i = 0; i < entry.getValue().size(); i++) out.append(i == 0 ? "" : ",").append(entry.getValue().get(i));
            out.append('\n');
        }
        System.out.print(out);
    }
}
