-- A journal as version 1 wrote it: one event, a lease held by a process that is gone, its operation, two claims.
BEGIN TRANSACTION;
CREATE TABLE asgard_claims (
	cluster_id VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	name VARCHAR(512) NOT NULL, 
	stack VARCHAR(255) NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (cluster_id, kind, name)
);
INSERT INTO "asgard_claims" VALUES('c1','topic','orders.created','orders',1795500000.0);
INSERT INTO "asgard_claims" VALUES('c1','user','orders-api','orders',1795500000.0);
CREATE TABLE asgard_events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DOUBLE NOT NULL, 
	service VARCHAR(32) NOT NULL, 
	kind VARCHAR(128) NOT NULL, 
	subject TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	correlation VARCHAR(128), 
	data TEXT NOT NULL
);
INSERT INTO "asgard_events" VALUES(1,1795500000.0,'odin','odin.stack.provisioned','orders','ann','run-1','{"topics": 3}');
CREATE TABLE asgard_leases (
	name VARCHAR(255) NOT NULL, 
	fence BIGINT NOT NULL, 
	host TEXT, 
	boot TEXT, 
	pid BIGINT, 
	started DOUBLE, 
	actor TEXT, 
	doing TEXT, 
	priority INTEGER, 
	since DOUBLE, 
	until DOUBLE, 
	takeover_at DOUBLE, 
	PRIMARY KEY (name)
);
INSERT INTO "asgard_leases" VALUES('cluster/c1/change',2,'old-host','old-boot',4242,77.5,'ann','odin up orders',30,1795500000.0,1795500015.0,1795500025.0);
CREATE TABLE asgard_meta (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "asgard_meta" VALUES('schema','1');
CREATE TABLE asgard_operations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind VARCHAR(128) NOT NULL, 
	subject TEXT NOT NULL, 
	undo TEXT NOT NULL, 
	lease VARCHAR(255) NOT NULL, 
	fence BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	began_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	outcome TEXT
);
INSERT INTO "asgard_operations" VALUES(1,'throttle','cluster c1','{"rate": null}','cluster/c1/change',2,'ann',1795500000.0,NULL,NULL);
CREATE TABLE asgard_waits (
	id VARCHAR(64) NOT NULL, 
	lease VARCHAR(255) NOT NULL, 
	host TEXT NOT NULL, 
	boot TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	started DOUBLE NOT NULL, 
	actor TEXT NOT NULL, 
	doing TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	since DOUBLE NOT NULL, 
	until DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX asgard_events_at ON asgard_events (at);
CREATE INDEX asgard_events_kind ON asgard_events (kind, id);
CREATE INDEX ix_asgard_waits_lease ON asgard_waits (lease);
CREATE INDEX ix_asgard_operations_lease ON asgard_operations (lease);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('asgard_events',1);
INSERT INTO "sqlite_sequence" VALUES('asgard_operations',1);
COMMIT;
