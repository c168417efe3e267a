import os, time, traceback, collections
from adql import parse, to_postgres, Limits, Server
from adql.errors import AdqlEngineError
from adql.backends.lake.query import to_lake
from adql.backends.lake.pieces import Store, LakeRelation
from adql.backends.lake.duckdb import DUCKDB
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.replaying.digest import digest_of_result
from tests.ppdb_replay.memory_lake import memory_lake
from tests.ppdb_replay.generated_queries import generated_query
from tests.ppdb_replay.query_forms import FORMS
def store_of(lake):
    rel={("ppdb_history",n):LakeRelation(("lake",n),t.position,("lake",n+"_by_object") if t.by_object else ()) for n,t in lake.tables.items()}
    return Store(engine=DUCKDB, relations=rel, exact_sums=True)
def test_all(ppdb_archive):
    lake=memory_lake(ppdb_archive.connection)
    store=store_of(lake); cat=ppdb_archive.catalog
    n=int(os.environ.get("N","60")); same=diff=err=ref=0; tp=tl=td=tq=0; refs=collections.Counter()
    texts=[*FORMS.values(), *map(generated_query, range(n))]
    for text in texts:
        q=parse(text)
        for copy in ppdb_archive.copies[::3]:
            r=as_of(q, copy.snapshot, cat)
            a=time.perf_counter(); to_postgres(r, cat.metadata, Limits(), server=Server(exact_sums=True)); tp+=time.perf_counter()-a
            want=ppdb_archive.run(r)
            try:
                a=time.perf_counter(); c=to_lake(r, cat.metadata, store); tl+=time.perf_counter()-a
            except AdqlEngineError as e:
                ref+=1; refs[e.problem[:70]]+=1; continue
            except Exception as e:
                err+=1; print("EMIT", text); traceback.print_exc(); 
                continue
            try:
                a=time.perf_counter(); rows=lake.connection.execute(c.sql).fetchall(); td+=time.perf_counter()-a
            except Exception as e:
                err+=1; print("RUN", text, "\n", str(e)[:600], "\n", c.sql[:1500]); continue
            d1=digest_of_result(want.columns,want.rows); d2=digest_of_result(c.columns,rows)
            if d1==d2: same+=1
            else:
                diff+=1; print("DIFF", text, "\n", c.sql[:1200], len(want.rows), len(rows), [(x,y) for x,y in zip(want.rows,rows) if [str(i) for i in x]!=[str(i) for i in y]][:2])
    print("same",same,"diff",diff,"err",err,"ref",ref,refs, "ms pg",tp*1e3/len(texts)/2,"lake",tl*1e3/len(texts)/2,"duck",td*1e3/len(texts)/2)
    assert 0
