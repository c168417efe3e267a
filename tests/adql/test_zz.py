import os, collections, traceback
import pytest, psycopg
from tests.adql.lake_twin import make_twin
from tests.adql.lake_expressions import expression_query
def test_zz(clone_for_session, template_database):
    url=clone_for_session(template_database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as c:
        t=make_twin(c); n=collections.Counter(); why=collections.Counter(); shown=0
        for s in range(int(os.environ.get("A","0")), int(os.environ.get("N","300"))):
            q=expression_query(s)
            import time; a0=time.time()
            try: o=t.outcome(q)
            except Exception as e:
                o="ERR"; print("ERR", q, type(e), str(e)[:500])
            n[o]+=1
            if time.time()-a0>2: print("SLOW",time.time()-a0,len(t.translated(q).sql),q)
            if o=="refused":
                try: t.translated(q)
                except Exception as e: why[type(e).__name__+str(e)[:70]]+=1
            if o=="stopped":
                try: t.in_postgres(q)
                except Exception as e: why["PG:"+str(e).split("\n")[0][:60]]+=1
            if o=="different" and shown<8:
                shown+=1
                a,b=t.in_postgres(q),t.in_lake(q)
                print("DIFF", q, len(a.rows), len(b.rows)); k=0
                for x,y in zip(a.rows,b.rows):
                    if x!=y and k<2: k+=1; print([(i,p,r) for i,(p,r) in enumerate(zip(x,y)) if p!=r])
                if len(a.rows)==len(b.rows)and k==0: print(a.columns,b.columns)
        print(n); print(why.most_common(30))
        assert 0
