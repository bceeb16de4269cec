// Reads views as JDBC hands them over: a line of JSON for each view.  As
// read.py, and the comments that the driver tells besides, which Metabase shows.
//
//	java -cp driver.jar:. Read options view...
//
// options: what follows "?" in the driver's address

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;

class Read {
	static final DateTimeFormatter MOMENT = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS");

	public static void main(String[] arguments) throws SQLException {
		String address = String.format("jdbc:postgresql://%s:%s/%s?%s", System.getenv("PGHOST"),
				System.getenv("PGPORT"), System.getenv("PGDATABASE"), arguments[0]);

		try (Connection connection = DriverManager.getConnection(address, System.getenv("PGUSER"),
				System.getenv("PGPASSWORD"))) {
			for (int i = 1; i < arguments.length; i++)
				System.out.println(read(connection, arguments[i]));
		}
	}

	static String read(Connection connection, String view) throws SQLException {
		List<String> names = new ArrayList<>();
		List<String> types = new ArrayList<>();
		List<TreeSet<String>> classes = new ArrayList<>();
		List<String> rows = new ArrayList<>();

		try (ResultSet result = connection.prepareStatement("SELECT * FROM " + view).executeQuery()) {
			ResultSetMetaData columns = result.getMetaData();

			for (int i = 1; i <= columns.getColumnCount(); i++) {
				names.add(quote(columns.getColumnName(i)));
				types.add(quote(columns.getColumnTypeName(i)));
				classes.add(new TreeSet<>());
			}
			while (result.next()) {
				List<String> row = new ArrayList<>();

				for (int i = 1; i <= columns.getColumnCount(); i++) {
					Object value = result.getObject(i);

					row.add(tell(value, result, i));
					if (value != null)
						classes.get(i - 1).add(quote(value.getClass().getSimpleName()));
				}
				rows.add(row.toString());
			}
		}
		return String.format("{\"view\": %s, \"names\": %s, \"types\": %s, \"classes\": %s, \"rows\": %s, %s}",
				quote(view), names, types, classes, rows, comments(connection.getMetaData(), view));
	}

	static String comments(DatabaseMetaData data, String view) throws SQLException {
		String schema = view.split("\\.")[0];
		String name = view.split("\\.")[1].replace("_", data.getSearchStringEscape() + "_");
		List<String> comments = new ArrayList<>();
		String comment = "null";

		try (ResultSet views = data.getTables(null, schema, name, new String[] { "VIEW" })) {
			while (views.next())
				comment = quote(views.getString("REMARKS"));
		}
		try (ResultSet columns = data.getColumns(null, schema, name, "%")) {
			while (columns.next())
				comments.add(quote(columns.getString("REMARKS")));
		}
		return String.format("\"comment\": %s, \"comments\": %s", comment, comments);
	}

	static String tell(Object value, ResultSet result, int i) throws SQLException {
		if (value instanceof Double)
			return quote(String.format("%016x", Double.doubleToRawLongBits((Double) value)));
		if (value instanceof Timestamp)
			return quote(result.getObject(i, OffsetDateTime.class).withOffsetSameInstant(ZoneOffset.UTC)
					.format(MOMENT));
		return value == null ? "null" : quote(value.toString());
	}

	static String quote(String text) {
		if (text == null)
			return "null";
		return text.chars().mapToObj(c -> c < ' ' || c > '~' || c == '"' || c == '\\'
				? String.format("\\u%04x", c) : String.valueOf((char) c))
				.collect(Collectors.joining("", "\"", "\""));
	}
}
