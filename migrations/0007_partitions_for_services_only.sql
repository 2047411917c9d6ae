-- Making partitions is for the services: PostgreSQL lets everybody execute a new function, and this
-- one runs with its owner's rights.
--
-- Safe beside the previous release: the services keep the right.
REVOKE EXECUTE ON FUNCTION lunas_ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lunas_ensure_partitions(integer) TO lunas_app;

-- An empty subject is nobody.
CREATE OR REPLACE FUNCTION lunas_current_user_id() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT nullif(coalesce(
        nullif(current_setting('lunas.user_id', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'), '')
$$;
