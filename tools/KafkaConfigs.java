/*
 * Prints every topic and broker config of the Kafka on the class path, one JSON object a line:
 * {"kind", "name", "type", "default", "validator", "shown", "mode"}.
 * kafka_configs.py runs it (java -cp 'KAFKA/libs/*' KafkaConfigs.java) and makes asgard/odin/resources/data/configs.json of its output.
 */
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;

public class KafkaConfigs {
    public static void main(String[] args) throws Exception {
        ConfigDef topic = (ConfigDef) call("configDefCopy", "org.apache.kafka.storage.internals.log.LogConfig");
        ConfigDef broker = (ConfigDef) call("configDef", "kafka.server.KafkaConfig");
        ConfigDef rates = (ConfigDef) call("brokerQuotaConfigs", "org.apache.kafka.server.config.QuotaConfig",
            "org.apache.kafka.server.config.QuotaConfigs");
        Map<String, String> modes = new TreeMap<>();
        modes((Map<?, ?>) call("dynamicConfigUpdateModes", "org.apache.kafka.server.config.DynamicBrokerConfig",
            "kafka.server.DynamicBrokerConfig$"), modes);
        print("topic", topic, Map.of());
        print("broker", broker, modes);
        Map<String, String> dynamic = new TreeMap<>();
        for (String name : rates.configKeys().keySet()) dynamic.put(name, "cluster-wide");
        print("broker", rates, dynamic);
    }

    /** The result of a method without arguments: of the first class that has it, static or of a Scala object. */
    private static Object call(String method, String... types) throws Exception {
        for (String type : types) {
            try {
                Class<?> owner = Class.forName(type);
                Method found = owner.getDeclaredMethod(method);
                found.setAccessible(true);
                return found.invoke(Modifier.isStatic(found.getModifiers()) ? null : owner.getField("MODULE$").get(null));
            } catch (ClassNotFoundException | NoSuchMethodException next) {
                // this version of Kafka has it elsewhere
            }
        }
        throw new NoSuchMethodException(method + " in any of " + String.join(", ", types));
    }

    private static void modes(Map<?, ?> from, Map<String, String> to) {
        from.forEach((name, mode) -> to.put(name.toString(), mode.toString()));
    }

    private static void print(String kind, ConfigDef def, Map<String, String> modes) {
        for (ConfigDef.ConfigKey key : new TreeMap<>(def.configKeys()).values()) {
            if (key.internalConfig) continue;
            String validator = key.validator == null ? "" : key.validator.getClass().getSimpleName();
            String shown = key.validator == null ? "" : key.validator.toString();
            String value = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            System.out.println("{\"kind\":" + json(kind) + ",\"name\":" + json(key.name) + ",\"type\":" + json(key.type.toString())
                + ",\"default\":" + json(value) + ",\"validator\":" + json(validator) + ",\"shown\":" + json(shown)
                + ",\"mode\":" + json(modes.getOrDefault(key.name, "read-only")) + "}");
        }
    }

    private static String json(String text) {
        if (text == null) return "null";
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }
}
